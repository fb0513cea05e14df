"""Whether the words that `learn.explain` names are those that annotators marked, and those that the network needs. The
fine-tuned packaged encoder, real data, found through TOXICAI_DATA.

    python -m benchmarks.explain [hatexplain toxic_spans] [--rows 4000] [--epochs 2] [--dev 200] [--test 400]
                                 [--learner PATH] [--seed 0]

hatexplain: trained on the majority label (hate speech or offensive against normal), dev texts from the training
split, test texts from the validation split, both toxic and with a rationale. toxic_spans: every post there is toxic,
so that nothing can be trained on them; the network learns from Jigsaw comments (`toxic`), dev posts are from the
training split, test posts from the trial split. `--learner` takes an exported learner with a class `toxic` instead of
training one.

Agreement with annotators is the character-level F1 of SemEval-2021 task 5, the mean over the texts. The cut from
which a word counts is the one that is best on the dev texts. Faithfulness to the network is comprehensiveness
(probability lost without the words that scored highest; more is better) and sufficiency (probability lost when only
these are left; less is better), the mean over 1, 5, 10, 20 and 50 % of the words as in DeYoung et al. 2020, on the
test texts that the network finds toxic. Occlusion deletes words as these figures do, which favours it. """
import time
from collections.abc import Callable
from functools import partial

import numpy as np,pandas as pd
from fastai.learner import load_learner
from fastai.torch_core import set_seed

from benchmarks.common import *
from toxicai.all import *
from toxicai.text.core import without,word_spans
from toxicai.data.loaders import class_names
from toxicai.text.evasion import swear_words

SHARES = (0.01,0.05,0.1,0.2,0.5) # https://arxiv.org/abs/1911.03429, section 4.2
MAX_CHARS = 600

# Data: rows to train on (`text`, `label`), and texts with `gold`, the sets of characters that annotators marked

def token_chars(
    tokens, # Tokens of a text that blanks separate
    mask, # 1 for those that annotators marked
) -> set: # Characters
    "What is marked, with the blank between two tokens that are"
    res,ends = set(),np.cumsum([len(o)+1 for o in tokens])
    for k,end in enumerate(ends[:len(mask)]):
        joins_next = k+1<len(mask) and mask[k+1]
        if mask[k]: res.update(range(end-len(tokens[k])-1, end if joins_next else end-1))
    return res

def hatexplain(n_train, n_dev, n_test, seed):
    df = data_file('hatexplain').sample(frac=1, random_state=seed)
    df['label'] = np.where(df.label=='normal', 'clean', 'toxic')
    def _gold(text, mask, label): return None if mask is None or label=='clean' else token_chars(text.split(' '), mask)
    df['gold'] = [_gold(*o) for o in zip(df.text, df.rationale_mask, df.label)]
    marked = df[df.gold.notna() & (df.gold.str.len()>0)]
    dev,test = marked[marked.split=='train'][:n_dev],marked[marked.split=='val'][:n_test]
    return df[(df.split=='train') & ~df.index.isin(dev.index)][['text','label']][:n_train],dev,test

def toxic_spans(n_train, n_dev, n_test, seed):
    train = data_file('jigsaw_train_part')[['comment_text','toxic']].dropna().rename(columns={'comment_text':'text'})
    train = train.sample(frac=1, random_state=seed)
    train = train[train.text.str.len()<=MAX_CHARS].assign(label=lambda o: np.where(o.toxic==1, 'toxic', 'clean'))
    half = pd.concat([o[:n_train//2] for _,o in train.groupby('label')]).sample(frac=1, random_state=seed)
    df = data_file('toxic_spans_semeval2021').sample(frac=1, random_state=seed)
    df['gold'] = [set(map(int, o)) for o in df.spans]
    return half[['text','label']],df[df.split=='train'][:n_dev],df[df.split=='trial'][:n_test]

tasks = dict(hatexplain=hatexplain, toxic_spans=toxic_spans)

# Scores of words, by method: text -> `words` as in an `Explanation`

def _scored(text, score):
    spans = word_spans(text)
    scores = score([text[a:b] for a,b in spans])
    return pd.DataFrame(dict(start=[a for a,_ in spans], end=[b for _,b in spans], score=scores))

def scorers(
    learn, # Explains its class `toxic`
    seed:int, # Of the random scores
) -> dict: # Name -> function
    "The methods of `learn.explain` and what they must beat"
    rng,lexicon = np.random.default_rng(seed),frozenset(swear_words)
    def _explained(text, method): return learn.explain(text, 'toxic', method).words
    def _listed(words): return np.array([float(o.lower() in lexicon) for o in words])
    def _random(words): return rng.random(len(words))
    def _all(words): return np.ones(len(words))
    simple = {'lexicon':_listed, 'random words':_random, 'all words':_all}
    return {**{k:partial(_explained, method=k) for k in explain_methods},
            **{k:partial(_scored, score=f) for k,f in simple.items()}}

# Agreement with annotators

def span_f1(
    pred, # Characters that are found
    gold, # Characters that are marked
) -> float: # In [0,1]
    "Character-level F1 of one text, 1 where both are empty (https://aclanthology.org/2021.semeval-1.6, section 4)"
    if not pred or not gold: return float(not pred and not gold)
    return 2*len(pred & gold)/(len(pred)+len(gold))

def explained(texts, tables): return [Explanation(t, '', 0., w, '', 0.) for t,w in zip(texts, tables)]

def mean_f1(
    found, # `Explanation` of each text
    golds, # Marked characters of each
    cut:float, # Least score
) -> float: # In [0,1]
    "Mean F1 of what the spans at `cut` cover"
    return np.mean([span_f1({i for a,b in e.spans(cut) for i in range(a, b)}, g) for e,g in zip(found, golds)])

def best_cut(
    found, # `Explanation` of each text
    golds, # Marked characters of each
) -> float: # Highest of the best cuts
    "The cut with the highest mean F1 among 100 quantiles of the scores, and none"
    scores = np.concatenate([o.words.score.dropna() for o in found])
    cuts = [np.inf, *np.unique(np.quantile(scores, np.linspace(0, 1, 100)))[::-1]]
    return max(cuts, key=lambda o: mean_f1(found, golds, o))

# Faithfulness

def order(
    scores, # Of the words; shape (n_words,)
    rng, # Breaks ties
) -> np.ndarray: # Places of the words, highest score first; shape (n_words,)
    "Ranking of words, ties at random, what was not read last"
    return np.lexsort((rng.random(len(scores)), -np.nan_to_num(scores, nan=-np.inf)))

def with_and_without(
    text:str, # The text
    words:pd.DataFrame, # Columns `start`, `end`, `score`
    rng, # Breaks ties
) -> list: # Texts, two for each of `SHARES`: without the words that scored highest, and with these alone
    "What comprehensiveness and sufficiency ask the network"
    spans = list(zip(words.start, words.end))
    top = order(words.score.to_numpy(), rng)
    res = []
    for share in SHARES:
        chosen = set(top[:max(1, round(share*len(spans)))])
        for inside in (True,False): res.append(without(text, [o for i,o in enumerate(spans) if (i in chosen)==inside]))
    return res

def faithfulness(
    f:Callable, # Texts -> probabilities
    texts, # n of them
    tables, # Words with scores of each
    seed:int, # Of the ties
) -> tuple: # Comprehensiveness, sufficiency
    "Mean loss of probability without the highest words, and with them alone"
    rng = np.random.default_rng(seed)
    asked = [with_and_without(t, w, rng) for t,w in zip(texts, tables)]
    whole,rest = np.asarray(f(list(texts))),np.asarray(f([o for os in asked for o in os]))
    lost = whole[:,None]-rest.reshape(len(texts), -1)
    return lost[:,::2].mean(),lost[:,1::2].mean()

# The run

def trained(df, epochs, seed):
    "The packaged encoder on `df`"
    set_seed(seed, reproducible=True)
    dls = ToxicityDataLoaders.from_df(df, packaged_encoder(), label_cols='label', valid_pct=0.1)
    learn = toxicity_learner(dls)
    with learn.no_bar(),learn.no_logging(): learn.fine_tune(epochs)
    return learn

def toxic_prob(learn):
    "Texts -> probability of `toxic`"
    def _f(texts):
        with learn.no_bar(),learn.no_logging(): df = learn.classify(texts)
        return df[class_names(learn.dls)].to_numpy()[:,learn.labels.index('toxic')]
    return _f

def _tables(f, texts):
    start = time.perf_counter()
    return [f(o) for o in texts],(time.perf_counter()-start)/len(texts)

def figures(f, score, dev, test, toxic, seed):
    "One row of the table"
    (tables,_),(found,secs) = _tables(score, dev.text),_tables(score, test.text)
    of_dev,of_test = explained(dev.text, tables),explained(test.text, found)
    cut = best_cut(of_dev, dev.gold)
    comp,suff = faithfulness(f, test.text[toxic], [o for o,t in zip(found, toxic) if t], seed)
    return {'char F1':mean_f1(of_test, test.gold, cut), 'cut':float(cut), 'char F1 dev':mean_f1(of_dev, dev.gold, cut),
            'comprehensiveness':comp, 'sufficiency':suff, 'ms per text':1000*secs}

def run(
    name:str, # A key of `tasks`
    args, # Command line
):
    "Print the table of one task"
    start = time.perf_counter()
    train,dev,test = tasks[name](args.rows, args.dev, args.test, args.seed)
    learn = trained(train, args.epochs, args.seed) if args.learner is None else load_learner(args.learner)
    f,mid = toxic_prob(learn),time.perf_counter()
    toxic = f(list(test.text))>=0.5
    def _row(score): return {k:float(v) for k,v in figures(f, score, dev, test, toxic, args.seed).items()}
    rows = [{'':k, **_row(score)} for k,score in scorers(learn, args.seed).items()]
    words = np.median([len(word_spans(o)) for o in test.text])
    source = f'{len(train):,} texts for training' if args.learner is None else args.learner
    show(rows, f"{name}: {source}, {len(dev):,} dev, {len(test):,} test texts (median {words:.0f} words), "
               f"{toxic.sum():,} of them found toxic; seed {args.seed}; "
               f"{mid-start:.0f} s for training, {time.perf_counter()-mid:.0f} s for the rest")

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('tasks', nargs='*', default=list(tasks), help=', '.join(tasks))
    p.add_argument('--rows', type=int, default=4000)
    p.add_argument('--epochs', type=int, default=2)
    p.add_argument('--dev', type=int, default=200)
    p.add_argument('--test', type=int, default=400)
    p.add_argument('--learner', help='an exported learner instead of training one')
    p.add_argument('--seed', type=int, default=0)
    args = p.parse_args()
    check_choices(p, 'task', args.tasks, tasks)
    begin()
    for o in args.tasks: run(o, args)
