"Sentences written for the last step of the English detector: kinds that corpora hardly have, beside harmless ones"
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np,pandas as pd
from toxicai.judge.behaviour import behaviour_cases
from .corpora import labels

@dataclass(frozen=True)
class Pattern:
    "A line of `sentences.txt`"
    kind:str
    targets:tuple # Share of each label; NaN where it is not known
    text:str # `(a|b)` is one of these, `{name}` a word of a list

def read_patterns(path=Path(__file__).with_name('sentences.txt')):
    "The patterns in a file, and its lists of words"
    patterns,words,kind,targets = [],{},None,None
    for line in path.read_text().splitlines():
        if not line or line.startswith('#'): continue
        if m := re.fullmatch(r'\{(\w+)\} = (.+)', line): words[m[1]] = m[2].split('|')
        elif m := re.fullmatch(r'\[(.+)\](.*)', line):
            known = dict(o.split('=') for o in m[2].split())
            if odd := set(known)-set(labels): raise ValueError(f"{path.name}: {m[1]!r} has labels {odd}: expected some of {labels}")
            kind,targets = m[1],tuple(float(known.get(o, '0').replace('?', 'nan')) for o in labels)
        else: patterns.append(Pattern(kind, targets, line))
    return patterns,words

def spoken(pattern, words, rng):
    "A sentence drawn from `pattern`"
    def _choice(m): return rng.choice(m[1].split('|'))
    def _word(m): return rng.choice(words[m[1]])
    text = re.sub(r'\{(\w+)\}', _word, re.sub(r'\(([^()]*)\)', _choice, pattern))
    text = ' '.join(text.split()).replace(" '", "'")
    text = re.sub(r'\b([Aa]) (?=[aeiou])', r'\1n ', text)
    return text[:1].upper()+text[1:]

def word_runs(text, n=5):
    "What `n` words in a row say, wherever they stand"
    words = re.findall(r'\w+', text.lower())
    return {tuple(words[i:i+n]) for i in range(len(words)-n+1)}

def spoken_rows(n, seed, dev_every=5):
    "Up to `n` different sentences of each pattern; those of every fifth pattern of a kind are for development"
    # None has five words in a row that stand in the check list of behaviour, which judges what was learnt
    judged = set().union(*map(word_runs, behaviour_cases('toxic').text))
    patterns,words = read_patterns()
    rng,rows,met = np.random.default_rng(seed),[],{}
    for o in patterns:
        i = met[o.kind] = met.get(o.kind, 0)+1
        texts = sorted({spoken(o.text, words, rng) for _ in range(n)})
        known = dict(kind=o.kind, dev=i%dev_every==0, weight=1., **dict(zip(labels, o.targets)))
        rows += [dict(text=t, **known) for t in texts if judged.isdisjoint(word_runs(t))]
    return pd.DataFrame(rows)
