"""How well a detector judges, on the development rows of the recipe (`recipes/detectors`, which holds them out of
training).

    python -m benchmarks.judging [FOLDER ...] [--frame FRAME] [--rivals tfidf profanity_check better_profanity]
                                 [--only labels attacks ...]
                                 [--rows 4000] [--learn 60000] [--kept FOLDER]

A judge is a packaged detector or a folder, with `@BACKEND` behind it where another than the best is meant. Beside it
stands what needs no download: TF-IDF with logistic regression, trained on `--learn` of the rows that the detector was
trained on (0: all), and the packages alt-profanity-check (which learnt from all of Jigsaw, these rows among them) and
better-profanity where they are installed. A word filter has no ranking, its scores are 0 or 1; better-profanity
judges some 100 texts a second, so that each table asks it of a sample, `rows` or `judged` says how many. A label with
fewer than 100 positives has no figure that decides anything: the number stands beside it. `--kept` keeps the scores
of each judge for the next call. """
import time
from functools import partial
from pathlib import Path

import numpy as np,pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks import explain as spans
from benchmarks.common import *
from recipes.detectors.corpora import english,labels
from recipes.detectors.decide import jigsaw_targets
from recipes.detectors.frame import whole_frame,without_copies
from toxicai import Detector
from toxicai.all import *
from toxicai.judge.explain import explain_network,log_odds
from toxicai.judge.measures import auc_interval
from toxicai.serve.backends import load_network
from toxicai.serve.folder import read_folder
from toxicai.serve.explain import explain_text
from toxicai.serve.packaged import weights_path
from toxicai.text.attacks import attacks,perturb
from toxicai.text.tokenizer import TextEncoder
from toxicai.text.evasion import swear_words
from toxicai.text.identities import identity_groups

# Rivals: name -> function that gives scores of some labels; columns it does not know are NaN; shape (n, 6)

def columns(scores, *names):
    "Scores of some of our labels among all six"
    res = np.full((len(scores), len(labels)), np.nan)
    cols = np.asarray(scores, float).reshape(len(scores), -1)
    for i,o in enumerate(names): res[:,labels.index(o)] = cols[:,min(i, np.ndim(scores)-1)]
    return res

def tfidf(df, n):
    "Words and pairs of words with a logistic regression for each label, on `n` rows that the detector was trained on"
    train = df[~df.dev]
    if n: train = train.sample(min(n, len(train)), random_state=0)
    words = TfidfVectorizer(sublinear_tf=True, min_df=3, ngram_range=(1,2), max_features=200_000,
                            strip_accents='unicode')
    x,heads = words.fit_transform(train.text),{}
    for o in labels:
        at = train[o].notna().to_numpy()
        heads[o] = LogisticRegression(C=4, max_iter=100).fit(x[at], train[o][at]>=0.5, sample_weight=train.weight[at])
    def _scores(texts):
        x = words.transform(texts)
        return np.stack([heads[o].predict_proba(x)[:,1] for o in labels], 1)
    return _scores

def profanity_check(df, n):
    "alt-profanity-check: a linear model of 200,000 comments"
    from profanity_check import predict_prob
    return lambda texts: columns(np.asarray(predict_prob(texts)), 'toxic')

def better_profanity(df, n):
    "better-profanity: a word list"
    from better_profanity import profanity
    return lambda texts: columns(np.array([profanity.contains_profanity(o) for o in texts], float), 'toxic')

rivals = dict(tfidf=tfidf, profanity_check=profanity_check, better_profanity=better_profanity)
bounds = dict(better_profanity=200) # Texts that a slow judge is asked for in one table

class Judge:
    "A function of texts that gives scores, asked once for each text; what is beyond its bound stays NaN"
    def __init__(self, name, f, kept=None):
        self.name,self.f,self.seconds = name,f,0.
        self.path = kept and Path(kept)/f"{name.replace('/', '_')}.parquet"
        self.known = {}
        if self.path and self.path.exists():
            df = pd.read_parquet(self.path)
            self.known = dict(zip(df.text, df[list(labels)].to_numpy()))

    def __call__(self, texts, whole=False):
        wanted = pd.Series(texts).drop_duplicates()
        most = None if whole else bounds.get(self.name)
        if most and len(wanted)>most: wanted = wanted.sample(most, random_state=0)
        if new := [o for o in wanted if o not in self.known]: self.learn(new)
        wanted,none = set(wanted),np.full(len(labels), np.nan)
        return np.stack([self.known[o] if o in wanted else none for o in texts])

    def learn(self, texts):
        start = time.perf_counter()
        self.known.update(zip(texts, self.f(texts)))
        note({'judge':self.name, 'texts':len(texts), 'texts/s':len(texts)/(time.perf_counter()-start)})
        if not self.path: return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame([*self.known.values()], columns=list(labels)).assign(text=[*self.known]).to_parquet(self.path)

def detector_scores(det, texts):
    "Scores of our six labels"
    return det.scores(texts)[:,[det.labels.index(k) for k in labels]]

def judges(args, df):
    "Name -> `Judge`"
    res = {}
    for o in args.folders:
        name,_,backend = o.partition('@')
        res[o] = Judge(o, partial(detector_scores, Detector(name, backend or 'auto', args.threads)), args.kept)
    for o in args.rivals:
        try: res[o] = Judge(o, rivals[o](df, args.learn), args.kept)
        except ImportError as e: note({o:f'not installed: {e}'})
    return res

# Parts

def label_figures(t, s):
    "AUC with its interval, AP, F1 at a threshold and calibration error, both on rows that they were not fitted to"
    t,s,(low,high) = t[:,None],s[:,None],auc_interval(t, s)
    inner = np.clip(s, 1e-6, 1-1e-6)
    one = Judged(s, t, LabelSet(['it'], 'multi', clean=[]), logits=np.log(inner)-np.log1p(-inner))
    tuned = tuned_thresholds(one, 'f1', cross_fit=True, n_boot=0).table.iloc[0]
    after = calibrated(one, 'platt', cross_fit=True, n_boot=0).table.iloc[0]
    auc,ap = (masked_score(o, t, s) for o in ('roc_auc','average_precision'))
    return {'AUC':auc, 'low':low, 'high':high, 'AP':ap, 'F1':float(tuned.after), 'ECE':float(after.ece),
            'ECE, calibrated':float(after.ece_after)}

def label_part(judges, dev, args):
    "Each label on its rows"
    targs,rows = jigsaw_targets(dev),[]
    for name,f in judges.items():
        p = f(dev.text.tolist())
        for i,o in enumerate(labels):
            known = np.isfinite(targs[:,i])&np.isfinite(p[:,i])
            if not known.any() or targs[known,i].sum()<2: continue
            t = targs[known,i]
            counts = {'positives':int(t.sum()), 'rows':len(t)}
            rows.append({'judge':name, 'label':o, **counts, **label_figures(t, p[known,i])})
    means = {k:[r for r in rows if r['judge']==k] for k in judges}
    for k,v in means.items():
        figures = {o:float(np.mean([r[o] for r in v])) for o in ('AUC','AP','F1','ECE','ECE, calibrated')}
        rows.append({**dict.fromkeys(v[0], ''), 'judge':k, 'label':f'mean of {len(v)}', **figures})
    show(rows, 'Labels, development rows of Jigsaw (`toxic`: as they come; threats: of all corpora)')

def auc_of(shares, scores):
    "AUC where both sides are known; shares of annotators from a half on count as yes"
    at = np.isfinite(scores)
    if not at.any(): return np.nan
    targs = shares.ge(0.5).astype(float).where(shares.notna()).to_numpy()
    return masked_score('roc_auc', targs[at,None], scores[at,None])

def share_at(scores, cut):
    "Share of the texts that were judged whose score reaches `cut`"
    some = scores[np.isfinite(scores)]
    return float((some>=cut).mean()) if len(some) else np.nan

def source_part(judges, dev, args):
    "AUC of `toxic` and of `identity_attack` in each corpus, and false alarms on its benign rows"
    rows = []
    for name,f in judges.items():
        p = f(dev.text.tolist())
        cut = threshold_of(p[:,0], dev)
        for source,at in dev.groupby('source').indices.items():
            part = dev.iloc[at]
            benign = (part.toxic<=0.1).to_numpy()
            auc = {f'AUC {o}':auc_of(part[o], p[at,labels.index(o)]) for o in ('toxic','identity_attack')}
            rows.append({'judge':name, 'language':part.lang.iloc[0], 'corpus':source,
                         'judged':int(np.isfinite(p[at,0]).sum()), **auc,
                         'benign':int(benign.sum()), 'alarms':share_at(p[at,0][benign], cut)})
    show(rows, 'Corpora, at the cut that flags 1 % of the benign comments of Jigsaw')

def threshold_of(scores, dev, rate=0.01):
    "The cut that flags `rate` of the benign comments of Jigsaw as they come"
    benign = ((dev.source=='jigsaw_train_part')&(dev.toxic==0)).to_numpy()
    return max(float(np.nanquantile(scores[benign], 1-rate)), np.nextafter(0, 1))

def attack_part(judges, dev, args):
    "Recall of toxic comments under each evasion attack, at the cut of 5 % false positives on clean ones"
    some = dev[(dev.source=='jigsaw_train_part')&(dev.toxic==1)&(dev.text.str.len()<=300)].head(args.rows//10)
    words,rows = set(swear_words),[]
    changed = {'none':some.text.tolist(), **{k:[perturb(o, k, 0.5, words, 1) for o in some.text] for k in attacks}}
    for name,f in judges.items():
        cut = threshold_of(f(dev.text.tolist())[:,0], dev, 0.05)
        rows.append({'judge':name, 'rows':len(some), **{k:share_at(f(o)[:,0], cut) for k,o in changed.items()}})
    show(rows, 'Recall of `toxic` under attack, at the cut that flags 5 % of the benign comments of Jigsaw')

def bias_part(judges, dev, args):
    "Subgroup, BPSN and BNSP AUC and false positives by term, on the development rows that name a group"
    known = dev.toxic.notna().to_numpy()
    groups = identity_groups(dev.text[known].tolist())
    for name,f in judges.items():
        all_,targs = f(dev.text.tolist())[:,0],dev.toxic[known].ge(.5).astype(float).to_numpy()
        p = all_[known]
        at = np.isfinite(p)
        some = groups[at].reset_index(drop=True)
        table = bias_table(targs[at], p[at], some, p[at]>=threshold_of(all_, dev), n_boot=2)
        cols = [o for o in table.columns if not o.endswith(('_low','_high'))]
        show(table[cols].dropna(subset='subgroup_auc').head(25).reset_index().to_dict('records'),
             f'{name}: identity terms; bias AUC {bias_auc(targs[at], p[at], some):.4f}')

def behaviour_part(judges, dev, args):
    "Pass rate of each kind of the check list, at the cut of 1 % false positives"
    cases,rows = behaviour_cases('toxic'),{}
    for name,f in judges.items():
        flags = f(cases.text.tolist(), whole=True)[:,0]>=threshold_of(f(dev.text.tolist())[:,0], dev)
        table = behaviour_table(cases, flags)
        for r in table.itertuples():
            rows.setdefault(r.kind, {'kind':r.kind, 'expected':r.expected, 'n':r.n})[name] = r.rate
        whole = rows.setdefault('all', {'kind':'all', 'expected':'', 'n':len(cases)})
        whole[name] = float((flags==cases.expected).mean())
    show(list(rows.values()), 'Check list of behaviour')

def clean_sentences(n):
    "News, reviews and encyclopaedia sentences that nobody holds to be toxic"
    news = data_file('glue_mrpc')[['sentence1','sentence2']].stack()
    wiki = data_file('bold_wikipedia_benign').text
    return pd.concat([news, wiki]).drop_duplicates().sample(frac=1, random_state=0).head(n).tolist()

def alarm_part(judges, dev, args):
    "False alarms on 10,000 clean sentences, at the cuts of 1 and 5 % of the benign comments of Jigsaw"
    texts,rows = clean_sentences(10_000),[]
    for name,f in judges.items():
        p,all_ = f(texts)[:,0],f(dev.text.tolist())[:,0]
        alarms = {f'at {r:.0%}':share_at(p, threshold_of(all_, dev, r)) for r in (0.01,0.05)}
        rows.append({'judge':name, 'sentences':int(np.isfinite(p).sum()), **alarms})
    show(rows, 'False alarms on clean sentences')

# Spans: what annotators marked in the development rows, found by leaving words out (int8) and by gradients (16 bits)

def marked_rows(dev, n):
    "Toxic posts of the development rows, no longer than the benchmark of explanations takes, with `gold` characters"
    df = data_file('toxic_spans_semeval2021').drop_duplicates('text')
    df = df[df.text.isin(set(dev.text[dev.source=='toxic_spans_annotations'])) & (df.text.str.len()<=spans.MAX_CHARS)]
    df['gold'] = [set(map(int, o)) for o in df.spans]
    return df[df.gold.str.len()>0].sample(frac=1, random_state=0).head(n)

def by_weights(method):
    "Text -> words and what each speaks for `toxic`, by the 16-bit weights"
    folder = read_folder(weights_path())
    enc = TextEncoder(folder.path, folder.text['max_length'], rules=folder.text['rules'])
    model,target = load_network(folder),partial(log_odds, i=folder.labels.index('toxic'), kind='multi')
    return lambda text: explain_network(model, enc, text, target, method=method).words

def by_engine(det, text):
    "Words and what `toxic` loses without each, by the engine that serves"
    found = explain_text(det, text, 'toxic', max_seconds=60.)
    return pd.DataFrame(found.words, columns=['start','end','score'])

def span_part(judges, dev, args):
    "Character F1 of the words that speak for `toxic`, the cut chosen on half of the posts"
    df,rows = marked_rows(dev, args.spans),[]
    first,second = df[::2],df[1::2]
    found = {'occlusion, int8':partial(by_engine, Detector(args.folders[0]))}
    found.update({o:by_weights(o) for o in ('gradients','integrated')})
    lexicon = frozenset(swear_words)
    def _listed(words): return np.array([float(o.lower() in lexicon) for o in words])
    found['list of profanity'] = lambda text: spans._scored(text, _listed)
    found['all words'] = lambda text: spans._scored(text, lambda ws: np.ones(len(ws)))
    for name,f in found.items():
        start = time.perf_counter()
        a,b = (spans.explained(o.text, [f(t) for t in o.text]) for o in (first,second))
        cut,secs = spans.best_cut(a, first.gold),time.perf_counter()-start
        rows.append({'method':name, 'posts':len(second),
                     'char F1':float(spans.mean_f1(b, second.gold, cut)), 'cut':float(cut),
                     'ms per text':1000*secs/len(df)})
        note(rows[-1])
    show(rows, f'Spans of `toxic`; the cut was chosen on {len(first)} other posts')

parts = dict(labels=label_part, sources=source_part, attacks=attack_part, bias=bias_part, behaviour=behaviour_part,
             alarms=alarm_part, spans=span_part)

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('folders', nargs='*', default=['english'])
    p.add_argument('--rivals', nargs='*', choices=list(rivals), default=list(rivals))
    p.add_argument('--only', nargs='+', choices=list(parts), default=list(parts))
    p.add_argument('--rows', type=int, default=4000, help='ten times the comments that are attacked')
    p.add_argument('--spans', type=int, default=400, help='posts whose words are weighed')
    p.add_argument('--learn', type=int, default=60_000, help='rows that TF-IDF learns from; 0 for all')
    p.add_argument('--dev', type=int, default=0, help='development rows, 0 for all')
    p.add_argument('--threads', type=int, default=2)
    p.add_argument('--kept', help='a folder for the scores')
    p.add_argument('--frame', help='a Parquet file that `python -m recipes.detectors frame english` wrote; '
                                   'made anew without it')
    args = p.parse_args()
    begin()
    df = pd.read_parquet(args.frame) if args.frame else without_copies(whole_frame(english))
    found = judges(args, df)
    dev = df[df.dev]
    if args.dev: dev = dev.sample(min(args.dev, len(dev)), random_state=0)
    dev = dev.reset_index(drop=True)
    print(f'{len(dev):,} development rows')
    for o in args.only:
        start = time.perf_counter()
        parts[o](found, dev, args)
        note({'part':o, 'seconds':time.perf_counter()-start})
