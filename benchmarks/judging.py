"""How well a detector judges, on the development rows of the recipe (`recipes/detectors`, which holds them out of training).

    python -m benchmarks.judging [FOLDER ...] [--rivals tfidf profanity_check better_profanity] [--only labels attacks ...] [--rows 4000]

Beside it what needs no download: TF-IDF with logistic regression, trained on the same rows as the detector, and the packages
alt-profanity-check and better-profanity where they are installed (a word filter has no ranking: its scores are 0 or 1). A
label with fewer than 100 positives has no figure that decides anything: the number stands beside it.
"""

import numpy as np,pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.common import *
from recipes.detectors.corpora import english,labels
from recipes.detectors.decide import jigsaw_targets
from recipes.detectors.frame import whole_frame,without_copies
from toxicai import Detector
from toxicai.labels import LabelSet
from toxicai.judge.all import *
from toxicai.judge.measures import auc_interval
from toxicai.text.attacks import attacks,perturb
from toxicai.text.evasion import swear_words
from toxicai.text.identities import identity_groups

# Rivals: name -> function that gives scores of some labels; columns it does not know are NaN; shape (n, 6)

def columns(scores, *names):
    "Scores of some of our labels among all six"
    res = np.full((len(scores), len(labels)), np.nan)
    for i,o in enumerate(names): res[:,labels.index(o)] = np.asarray(scores, float).reshape(len(scores), -1)[:,min(i, np.ndim(scores)-1)]
    return res

def tfidf(df):
    "Words and pairs of words with a logistic regression for each label, on the rows that the detector was trained on"
    train = df[~df.dev]
    words = TfidfVectorizer(sublinear_tf=True, min_df=3, ngram_range=(1,2), max_features=200_000, strip_accents='unicode')
    x,heads = words.fit_transform(train.text),{}
    for o in labels:
        at = train[o].notna().to_numpy()
        heads[o] = LogisticRegression(C=4, max_iter=300).fit(x[at], train[o][at]>=0.5, sample_weight=train.weight[at])
    def _scores(texts):
        x = words.transform(texts)
        return np.stack([heads[o].predict_proba(x)[:,1] for o in labels], 1)
    return _scores

def profanity_check(df):
    "alt-profanity-check: a linear model of 200,000 comments"
    from profanity_check import predict_prob
    return lambda texts: columns(np.asarray(predict_prob(texts)), 'toxic')

def better_profanity(df):
    "better-profanity: a word list"
    from better_profanity import profanity
    return lambda texts: columns(np.array([profanity.contains_profanity(o) for o in texts], float), 'toxic')

rivals = dict(tfidf=tfidf, profanity_check=profanity_check, better_profanity=better_profanity)

def judges(args, df):
    "Name -> function of texts that gives scores; shape (n, 6)"
    res = {}
    for o in args.folders:
        name,_,backend = o.partition('@')
        det = Detector(name, backend or 'auto')
        res[o] = lambda texts,det=det: det.scores(texts)[:,[det.labels.index(k) for k in labels]]
    for o in args.rivals:
        try: res[o] = rivals[o](df)
        except ImportError as e: note({o:f'not installed: {e}'})
    return res

# Parts

def label_part(judges, dev, args):
    "AUC with its interval, AP, F1 at a threshold and calibration error, both cross-fitted"
    targs,rows = jigsaw_targets(dev),[]
    for name,f in judges.items():
        p = f(dev.text.tolist())
        for i,o in enumerate(labels):
            known = np.isfinite(targs[:,i])&np.isfinite(p[:,i])
            if not known.any(): continue
            t,s = targs[known,i],p[known,i]
            low,high = auc_interval(t, s)
            one = Judged(s[:,None], t[:,None], LabelSet([o], 'multi', clean=[]))
            tuned = tuned_thresholds(one, 'f1', cross_fit=True, n_boot=0).table.iloc[0]
            rows.append({'judge':name, 'label':o, 'positives':int(t.sum()), 'rows':len(t), 'AUC':masked_score('roc_auc', t[:,None], s[:,None]), 'low':low, 'high':high,
                         'AP':masked_score('average_precision', t[:,None], s[:,None]), 'F1':tuned.after, 'ECE':float(calibration_error(t[:,None], s[:,None])[0])})
    show(rows, 'Labels, development rows of Jigsaw (threats: of all corpora)')

def auc_of(shares, scores):
    "AUC where both sides are known; shares of annotators from a half on count as yes"
    if not np.isfinite(scores).all(): return np.nan
    targs = shares.ge(0.5).astype(float).where(shares.notna()).to_numpy()
    return masked_score('roc_auc', targs[:,None], scores[:,None])

def source_part(judges, dev, args):
    "AUC of `toxic` and of `identity_attack` in each corpus, and false alarms on its benign rows"
    rows = []
    for name,f in judges.items():
        p = f(dev.text.tolist())
        cut = threshold_of(p[:,0], dev)
        for source,at in dev.reset_index(drop=True).groupby('source').indices.items():
            part = dev.iloc[at]
            benign = (part.toxic<=0.1).to_numpy()
            auc = {f'AUC {o}':auc_of(part[o], p[at,labels.index(o)]) for o in ('toxic','identity_attack')}
            rows.append({'judge':name, 'corpus':source, 'rows':len(at), **auc, 'benign':int(benign.sum()),
                         'alarms':float((p[at,0]>=cut)[benign].mean()) if benign.any() else np.nan})
    show(rows, 'Corpora, at the cut that flags 1 % of the benign comments of Jigsaw')

def threshold_of(scores, dev, rate=0.01):
    "The cut that flags `rate` of the benign comments of Jigsaw as they come"
    benign = ((dev.source=='jigsaw_train_part')&(dev.toxic==0)).to_numpy()
    return max(float(np.quantile(scores[benign], 1-rate)), np.nextafter(0, 1))

def attack_part(judges, dev, args):
    "Recall of toxic comments under each evasion attack, at the cut of 5 % false positives on clean ones"
    some = dev[(dev.source=='jigsaw_train_part')&(dev.toxic==1)&(dev.text.str.len()<=300)].head(args.rows//10)
    words,rows = set(swear_words),[]
    for name,f in judges.items():
        cut = threshold_of(f(dev.text.tolist())[:,0], dev, 0.05)
        found = {k:float((f([perturb(o, k, 0.5, words, 1) for o in some.text])[:,0]>=cut).mean()) for k in attacks}
        rows.append({'judge':name, 'rows':len(some), 'none':float((f(some.text.tolist())[:,0]>=cut).mean()), **found})
    show(rows, 'Recall of `toxic` under attack')

def bias_part(judges, dev, args):
    "Subgroup, BPSN and BNSP AUC and false positives by term, on the development rows that name a group"
    part = dev[dev.toxic.notna()]
    groups,targs = identity_groups(part.text.tolist()),part.toxic.ge(.5).astype(float).to_numpy()
    for name,f in judges.items():
        all_ = f(dev.text.tolist())[:,0]
        p = all_[dev.toxic.notna().to_numpy()]
        table = bias_table(targs, p, groups, p>=threshold_of(all_, dev), n_boot=2)
        cols = [o for o in table.columns if not o.endswith(('_low','_high'))]
        note({name:f'bias AUC {bias_auc(targs, p, groups):.3f}'})
        show(table[cols].dropna(subset='subgroup_auc').head(25).reset_index().to_dict('records'), f'{name}: identity terms')

def behaviour_part(judges, dev, args):
    "Pass rate of each kind of the check list, at the cut of 1 % false positives"
    cases,rows = behaviour_cases('toxic'),{}
    for name,f in judges.items():
        flags = f(cases.text.tolist())[:,0]>=threshold_of(f(dev.text.tolist())[:,0], dev)
        table = behaviour_table(cases, flags)
        for r in table.itertuples(): rows.setdefault(r.kind, {'kind':r.kind, 'expected':r.expected, 'n':r.n})[name] = r.rate
        rows.setdefault('all', {'kind':'all', 'expected':'', 'n':len(cases)})[name] = float((flags==cases.expected).mean())
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
        rows.append({'judge':name, 'sentences':len(texts), **{f'at {r:.0%}':float((p>=threshold_of(all_, dev, r)).mean()) for r in (0.01,0.05)}})
    show(rows, 'False alarms on clean sentences')

parts = dict(labels=label_part, sources=source_part, attacks=attack_part, bias=bias_part, behaviour=behaviour_part, alarms=alarm_part)

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('folders', nargs='*', default=['english'])
    p.add_argument('--rivals', nargs='*', choices=list(rivals), default=list(rivals))
    p.add_argument('--only', nargs='+', choices=list(parts), default=list(parts))
    p.add_argument('--rows', type=int, default=4000)
    p.add_argument('--frame', help='a Parquet file that `python -m recipes.detectors frame english` wrote; made anew without it')
    args = p.parse_args()
    begin()
    df = pd.read_parquet(args.frame) if args.frame else without_copies(whole_frame(english))
    found = judges(args, df)
    dev = df[df.dev].reset_index(drop=True)
    for o in args.only: parts[o](found, dev, args)
