"""Recall that ten kinds of attack cost, and how much of it normalisation and perturbed training texts win back. The
fine-tuned packaged encoder on short Jigsaw comments whose `toxic` is known; real data, found through TOXICAI_DATA.

    python -m benchmarks.evasion [--rows 4000] [--epochs 1] [--presets none light social strict]
                                 [--held_out] [--share 0.3] [--seed 0]

For each preset of rules there are two networks: `plain`, and `augmented`, trained on the same rows and the same
number of texts, where perturbed copies take the place of repetitions. The threshold of each network flags 5 % of the
clean validation texts that are not toxic; it stays for the attacked ones, whose false-positive rate is printed too,
so that a network that flags whatever looks odd does not win unseen.

The attacker changes a share of the words of each text, those first that a logistic regression on the training rows
finds toxic. It never sees the network. Its seed is not that of the training copies. With `--held_out` training knows
every second kind of attack only, and the means of seen and unseen kinds are printed apart. """
import sys,time

import numpy as np,pandas as pd
from fastai.torch_core import set_seed
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benchmarks.common import *
from toxicai.all import *
from toxicai.text.attacks import *
from toxicai.text.rules import Rules

MAX_CHARS = 300 # of a text
FPR = 0.05 # false positives on clean texts
FRAC = 0.5 # share of the training rows that get a copy
PRESETS = ['none','light','social','strict']

# Data

def sample(
    n_train:int, # Training rows, 45 % of them toxic
    seed:int, # Of the sample
) -> pd.DataFrame: # Columns `text`, `toxic`, `is_valid`; validation has 0.3 times as many rows, 40 % toxic
    "Short Jigsaw comments without duplicates, on one side or across"
    df = data_file('jigsaw_train_part')[['comment_text','toxic']].dropna().rename(columns={'comment_text':'text'})
    letters = df.text.str.lower().str.replace(r'[\W_]', '', regex=True)
    df = df[(df.text.str.len()<=MAX_CHARS) & ~letters.duplicated()].astype({'toxic':int})
    df = df.sample(frac=1, random_state=seed)
    n_valid = round(0.3*n_train)
    valid_toxic,train_toxic = round(0.4*n_valid),round(0.45*n_train)
    needed,n_toxic = valid_toxic+train_toxic,int(df.toxic.sum())
    if needed>n_toxic:
        sys.exit(f"--rows {n_train} needs {needed:,} toxic texts, there are {n_toxic:,}: "
                 f"expected {int(n_toxic/0.57)} at most")
    sizes = {1:(valid_toxic,train_toxic), 0:(n_valid-valid_toxic,n_train-train_toxic)}
    parts = []
    for k,(v,t) in sizes.items():
        of = df[df.toxic==k]
        parts += [of[:v].assign(is_valid=True), of[v:v+t].assign(is_valid=False)]
    return pd.concat(parts).sample(frac=1, random_state=seed).reset_index(drop=True)

def toxic_words(
    df:pd.DataFrame, # Training rows
) -> dict: # Word in lower case -> weight above 0
    "What an attacker can know without the network: the words that a linear model finds toxic"
    tfidf = TfidfVectorizer(token_pattern=r'[^\W\d_]{2,}', min_df=3, sublinear_tf=True)
    lr = LogisticRegression(C=10, max_iter=1000).fit(tfidf.fit_transform(df.text), df.toxic)
    return {w:c for w,c in zip(tfidf.get_feature_names_out(), lr.coef_[0]) if c>0}

def attacked(
    texts, # Clean texts
    words:dict, # What the attacker goes for
    share:float, # Share of the words that are changed
    seed:int, # Of the attacks
) -> dict: # 'clean' and each kind of attack -> texts in the same order
    "`texts` as they are and under every attack"
    return {'clean':list(texts), **{k:[perturb(o, k, share, words, seed) for o in texts] for k in attacks}}

# Networks

def training_frames(df, words, share, kinds, seed):
    "Rows for the plain and for the augmented network: the same ones, equally often"
    more = augmented(df, 'text', kinds, share, words, seed, valid_col='is_valid', frac=FRAC)
    return {'plain':more.assign(text=df.text.iloc[more.origin].to_numpy()), 'augmented':more}

def trained(df, preset, epochs, seed):
    "A learner on `df` whose texts go through the rules of `preset`"
    set_seed(seed, reproducible=True)
    how = dict(label_cols='toxic', valid_col='is_valid', rules=Rules(preset))
    dls = ToxicityDataLoaders.from_df(df, packaged_encoder(), **how)
    learn = toxicity_learner(dls)
    with learn.no_bar(),learn.no_logging(): learn.fine_tune(epochs)
    return learn

def scores(learn, texts):
    "Probability that each of `texts` is toxic; shape (n,)"
    with learn.no_bar(),learn.no_logging(): return learn.get_preds(dl=learn.dls.test_dl(texts))[0][:,0].numpy()

# Figures

def figures(learn, toxic, clean):
    "Recall and false-positive rate by attack at the threshold that suits clean texts"
    groups = [('recall',k,o) for k,o in toxic.items()]+[('fpr',k,o) for k,o in clean.items()]
    probs = np.split(scores(learn, [t for *_,o in groups for t in o]), np.cumsum([len(o) for *_,o in groups])[:-1])
    by = {(what,k):p for (what,k,_),p in zip(groups, probs)}
    thresh = np.quantile(by['fpr','clean'], 1-FPR, method='higher')
    bad,good = by['recall','clean'],by['fpr','clean']
    auc = roc_auc_score([1]*len(bad)+[0]*len(good), np.concatenate([bad, good]))
    return {'thresh':thresh, 'auc':auc, **{o:(p>thresh).mean() for o,p in by.items()}}

def _means(table, groups):
    "Rows of `table` (attack by network) with the mean of each group of attacks below"
    return pd.concat([table, pd.DataFrame({name:table.loc[kinds].mean() for name,kinds in groups.items()}).T])

def won_back(
    recall:pd.DataFrame, # Attacks and 'clean' by network, means included
    base:str, # The network without any defence
) -> pd.DataFrame: # Share of the recall lost by `base`; NaN where it lost less than 0.02
    "(recall - attacked recall of `base`) / (clean recall of `base` - attacked recall of `base`)"
    lost = recall.loc['clean',base]-recall[base]
    return recall.sub(recall[base], axis=0).div(lost.where(lost>=0.02), axis=0).drop('clean')

def show_table(table, title):
    cells = table.map(lambda o: '-' if pd.isna(o) else f'{o:.3f}')
    show(cells.reset_index(names='').to_dict('records'), title)

# The run

def _measured(frame, preset, epochs, seed, toxic, clean):
    start = time.perf_counter()
    learn = trained(frame, preset, epochs, seed)
    mid = time.perf_counter()
    return {**figures(learn, toxic, clean), 'train s':mid-start, 'score s':time.perf_counter()-mid}

def run(rows, epochs, names, share, held_out, seed):
    "Train and measure all networks, and print the tables"
    df = sample(rows, seed)
    valid,words = df[df.is_valid],toxic_words(df[~df.is_valid])
    seen = list(attacks)[::2] if held_out else list(attacks)
    toxic,clean = [attacked(valid.text[valid.toxic==o], words, share, seed+1000) for o in (1,0)]
    clean = {k:o if k=='clean' else o[:len(o)//2] for k,o in clean.items()}
    frames,res = training_frames(df, words, share, seen, seed),{}
    for name,(preset,how) in {f'{p}, {h}':(p,h) for p in names for h in frames}.items():
        res[name] = _measured(frames[how], preset, epochs, seed, toxic, clean)
        print(f"  {name}: {res[name]['train s']+res[name]['score s']:.0f} s", file=sys.stderr, flush=True)
    print(f"\n{rows:,} training rows and {len(frames['augmented'])-len(df):,} copies; "
          f"for validation {len(toxic['clean']):,} toxic texts and {len(clean['clean']):,} others, "
          f"{len(clean['leet']):,} of them attacked; {MAX_CHARS} characters at most. "
          f"{share:.0%} of the words attacked; the attacker knows {len(words):,} toxic words. "
          f"{epochs} epochs after one with the head alone, seed {seed}")
    print_tables(res, seen)

def print_tables(res, seen):
    unseen = [o for o in attacks if o not in seen]
    groups = {'mean':list(attacks)}
    if unseen: groups.update({'mean of seen':seen, 'mean of unseen':unseen})
    def _by_attack(what):
        table = pd.DataFrame({m:{k:r[what,k] for k in ('clean',*attacks)} for m,r in res.items()})
        return _means(table, groups)
    recall,fpr = _by_attack('recall'),_by_attack('fpr')
    networks = pd.DataFrame({m:{k:r[k] for k in ('auc','thresh','train s','score s')} for m,r in res.items()})
    show_table(networks, 'Networks: ROC-AUC on clean texts, threshold, seconds')
    note = f"; training knows {', '.join(seen)}" if unseen else ''
    show_table(recall, f'Recall of toxic texts at a false-positive rate of {FPR:.0%} on clean ones{note}')
    show_table(fpr, 'False-positive rate on texts that are not toxic, same threshold')
    base = 'none, plain'
    if base not in res:
        return print(f'\nNo share of the lost recall: it needs the network "{base}" (--presets none ...)')
    show_table(won_back(recall, base), f'Share of the recall lost to attacks that is won back '
                                       f'(lost by "{base}"; - where that is less than 0.02; means from mean recalls)')

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('--rows', type=int, default=4000)
    p.add_argument('--epochs', type=int, default=1)
    p.add_argument('--presets', nargs='+', default=PRESETS, choices=PRESETS)
    p.add_argument('--share', type=float, default=0.3)
    p.add_argument('--held_out', action='store_true')
    p.add_argument('--seed', type=int, default=0)
    args = p.parse_args()
    begin()
    run(args.rows, args.epochs, args.presets, args.share, args.held_out, args.seed)
