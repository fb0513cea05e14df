"""What each choice of the recipe (`recipes/detectors`) is worth: small runs that differ in one thing, two seeds each.

    python -m benchmarks.ablations FRAME RUNS [--share 0.1] [--seeds 42 43] [--only base masked ...] [--rows 3000]

FRAME is what `python -m recipes.detectors frame english` wrote; RUNS keeps the detectors, so that a run that was
stopped goes on. All figures are of development rows, at the cut that flags 1 % of the benign comments of Jigsaw. A
difference inside the spread of the seeds is none. """
from dataclasses import replace
from pathlib import Path

import numpy as np,pandas as pd

from benchmarks.common import *
from benchmarks.judging import auc_of,threshold_of
from recipes.detectors.corpora import english
from recipes.detectors.course import Step,run_step,some
from recipes.detectors.decide import jigsaw_targets
from toxicai import Detector
from toxicai.judge.behaviour import behaviour_cases
from toxicai.judge.measures import masked_scores
from toxicai.text.attacks import attacks,perturb
from toxicai.text.evasion import swear_words
from toxicai.text.tokenizer import packaged_encoder

counter_examples = ('goemotions_benign','bold_wikipedia_benign','crowdcounter_counterspeech')

arms = dict( # Name -> what differs from the base
    base={},
    masked=dict(weak=False), # benign rows of sets of hate: not known, instead of weakly not toxic
    one_weight=dict(weights={o.name:1/o.weight for o in english}), # every corpus weighs the same
    no_attacks=dict(attacks=0.),
    no_sentences=dict(sentences=0.),
    no_counter_examples=dict(shares=dict.fromkeys(counter_examples, 0.)))

def step_of(arm, seed, share):
    "The small step of an arm: `share` of the rows that the first step of the course takes"
    base = Step('small', lr=3e-4, max_length=64, attacks=0.1, sentences=0.1, seed=seed)
    shares = {o.name:share*some.get(o.name, 1.) for o in english}
    changes = dict(arms[arm])
    return replace(base, shares={**shares, **changes.pop('shares', {})}, **changes)

def some_dev(df, rows, each=300):
    "Development rows: `rows` of Jigsaw as they come, up to `each` of every other corpus"
    dev = df[df.dev]
    def _some(k, o): return o.sample(min(rows if k=='jigsaw_train_part' else each, len(o)), random_state=0)
    parts = [_some(k, o) for k,o in dev.groupby('source')]
    return pd.concat(parts, ignore_index=True)

def hate_alarms(dev, flags):
    "Share of flags among the benign rows of the sets that did not ask for toxicity, and among the counter-examples"
    benign = (dev.toxic.isna()|(dev.toxic<=0.1))&(dev.identity_attack==0)
    told = dev.source.isin(counter_examples).to_numpy()
    at = (benign&~dev.source.str.startswith(('jigsaw','wiki'))).to_numpy()
    return flags[at&~told].mean(),flags[told].mean()

def figures(folder, dev):
    "Name -> figure of one detector"
    judge = Detector(folder, 'onnx-int8')
    scores = judge(dev.text.tolist(), 'all').scores
    cut,targs = threshold_of(scores[:,0], dev),jigsaw_targets(dev)
    toxic = dev[(dev.source=='jigsaw_train_part')&(dev.toxic==1)&(dev.text.str.len()<=300)].head(100)
    hidden = [perturb(o, k, 0.5, set(swear_words), 1) for k in attacks for o in toxic.text]
    cases = behaviour_cases('toxic')
    said = judge(cases.text.tolist(), 'all').scores[:,0]>=cut
    auc = masked_scores('roc_auc', targs, scores)
    of_hate = ['dynahate_dev','hatemoji_build','implicit_hate','toxigen_annotated','sbic_dev','stormfront']
    hate = dev.source.isin(of_hate).to_numpy()
    alarms = hate_alarms(dev, scores[:,0]>=cut)
    return {'AUC toxic':auc[0], 'mean AUC':np.nanmean(auc),
            'AUC identity_attack, sets of hate':auc_of(dev.identity_attack[hate], scores[hate,5]),
            'recall, attacked':float((judge(hidden, 'all').scores[:,0]>=cut).mean()),
            'behaviour':float((said==cases.expected).mean()),
            'alarms, benign rows of other sets':alarms[0], 'alarms, counter-examples':alarms[1]}

def source_alarms(found):
    "Alarms on each corpus' benign rows, base against masked: the question of the weak 0"
    def _means(k): return {a:float(np.mean([o[k] for o in runs])) for a,runs in found.items()}
    return [{'corpus':k, **_means(k)} for k in next(iter(found.values()))[0]]

def alarms_by_source(folder, dev):
    "Corpus -> share of its benign rows that are flagged"
    scores = Detector(folder, 'onnx-int8')(dev.text.tolist(), 'all').scores[:,0]
    cut = threshold_of(scores, dev)
    benign = ((dev.toxic.isna()|(dev.toxic<=0.1))&~(dev.identity_attack>0)).to_numpy()
    places = {k:at[benign[at]] for k,at in dev.groupby('source').indices.items()}
    return {k:float((scores[at]>=cut).mean()) for k,at in places.items() if len(at)}

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('frame')
    p.add_argument('runs')
    p.add_argument('--share', type=float, default=0.1)
    p.add_argument('--seeds', type=int, nargs='+', default=[42,43])
    p.add_argument('--only', nargs='+', choices=list(arms), default=list(arms))
    p.add_argument('--rows', type=int, default=3000)
    args = p.parse_args()
    begin()
    df = pd.read_parquet(args.frame)
    dev,rows,by_source = some_dev(df, args.rows),[],{}
    for arm in args.only:
        runs = [Path(args.runs)/f'{arm}_{o}' for o in args.seeds]
        for seed,folder in zip(args.seeds, runs):
            if not (folder/'detector/toxicai.json').is_file():
                run_step(df, step_of(arm, seed, args.share), packaged_encoder(), None, folder)
        found = pd.DataFrame([figures(o/'detector', dev) for o in runs])
        rows.append({'arm':arm, **{k:mean_sd(found[k]) for k in found}})
        note(rows[-1])
        if arm in ('base','masked'): by_source[arm] = [alarms_by_source(o/'detector', dev) for o in runs]
    show(rows, f'{len(dev):,} development rows, seeds {args.seeds}, share {args.share}')
    if by_source: show(source_alarms(by_source), 'Alarms on benign rows, by corpus')
