"Folders for the wheels: calibration, thresholds for three uses, cards"
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Callable

import numpy as np
from toxicai.judge.measures import masked_score,masked_scores
from toxicai.judge.report import threshold_text
from toxicai.serve.detector import Detector
from toxicai.serve.first import nearness,read_first,usual_bound,write_first
from toxicai.serve.folder import change_meta,read_folder
from toxicai.text.rules import Rules
from toxicai.train.export import pack_detector,pack_weights,update_network
from .corpora import credits,english,labels,languages,others
from .decide import decisions,jigsaw_targets,judged_dev,world_targets
from .first import bound_that_holds,compared_anew,first_stage


def credits_table(sources):
    "Markdown: what the detector was trained on, under which licence, whose work it is, and what its labels were taken to mean"
    rows = [f'| {o.name} | {credits[o.name][0]} | {credits[o.name][1]} | {o.why} |' for o in sources]
    return '\n'.join(['| corpus | licence | source | what its labels mean here |', '|---|---|---|---|', *rows])

def label_rows(judged, uses):
    "Markdown: AUC and average precision of each label, with the number of its positives, and F1 of the balanced thresholds"
    auc,ap = (masked_scores(o, judged.targs, judged.probs) for o in ('roc_auc','average_precision'))
    rows = []
    for i,o in enumerate(labels):
        t,_ = judged.known(i)
        cut = uses['balanced'][o]
        f1 = 2*cut['precision']*cut['recall']/(cut['precision']+cut['recall'])
        rows.append(f'| {o} | {len(t):,} | {int(t.sum()):,} | {auc[i]:.4f} | {ap[i]:.4f} | {f1:.3f} |')
    return '\n'.join(['| label | rows | positive | ROC-AUC | average precision | F1, cross-fitted |', '|---|---|---|---|---|---|', *rows])

def language_rows(judged, langs):
    "Markdown: AUC and average precision of `toxic` in each language; `langs` has shape (n,)"
    rows = []
    for o in sorted(set(langs)):
        at = (langs==o)&~np.isnan(judged.targs[:,0])
        t,p = judged.targs[at,:1],judged.probs[at,:1]
        auc,ap = (masked_scores(m, t, p)[0] for m in ('roc_auc','average_precision'))
        rows.append(f'| {o} | {len(t):,} | {int(t.sum()):,} | {auc:.4f} | {ap:.4f} |')
    return '\n'.join(['| language | rows | positive | ROC-AUC of `toxic` | average precision |', '|---|---|---|---|---|', *rows])

about = """What it is for: to sort comments for people who decide, and to warn writers before they post. What it must not be used for: to punish people
unseen, to judge persons, or to measure groups by what their members write.

{origin}

### How well it judges

Development rows, which no step was trained on, {n:,} in all, taken apart by groups of near-duplicates (seed 42): {rows} A label
with under 100 positives has no figure that decides anything. int8 network.
`python -m recipes.detectors pack {name} FRAME FOLDER` prints these, `python -m benchmarks.judging {name}` more.

{figures}

{first}### Where it fails

{fails}

### What it was trained on

{train:,} rows of these corpora are for training, and each pass of the course (`recipes/detectors/course.py`) draws a part of them.

{credits}
"""

weights_about = """Weights to fine-tune: loaders without a `checkpoint` begin with them. They read texts by the rules `light`, by which they were trained;
what is said below was measured on the int8 network that was made of them, which reads by `{rules}`.

"""

first_about = """### The first stage

`Detector('{name}', first='auto')` lets a linear model of words answer what is plainly harmless, where at most {bound:.1%} of its answers
hide a flag of the network, as far as {n:,} development comments tell. Of these it answered {answered:.0%}; {same:.2%} of the comments kept all
flags, and the ROC-AUC of `toxic` is {after:.4f} instead of {before:.4f}. Off unless asked for. `python -m benchmarks.first` prints the curve.

"""

def first_text(name, stage, labels, targs, cut, facts):
    "Markdown: what the first stage does to flags and ranking on the rows that it was compared on; `cut` is where it answers alone"
    alone = stage.readable & (nearness(labels, stage.own)<=cut)
    mixed = np.where(alone[:,None], stage.own, stage.theirs)
    scores = (labels.probs(o)[:,[labels.index('toxic')]] for o in (stage.theirs,mixed))
    before,after = (masked_score('roc_auc', targs[:,None], o) for o in scores)
    n,answered,differing = (facts[o] for o in ('compared','answered','differing'))
    return first_about.format(name=name, bound=usual_bound, n=n, answered=answered/n, same=1-differing/n, after=after, before=before)

@dataclass(frozen=True)
class Box:
    "A detector that ships, and what its card says of it"
    name:str
    sources:tuple # Of its training rows
    languages:tuple # ISO 639-1
    base:str # Encoder on the hub that it began with
    license:str # SPDX, lower case
    targets:Callable # Development rows -> targets that calibration and thresholds are read from
    origin:str # Where it comes from and whom it reads
    rows:str # Which development rows count for what
    fails:str # Where it fails
    int8:str # Where the int8 folder goes
    version:str = '1.0.0'
    rules:str = 'light' # Preset by which it reads texts
    weights:str = None # Where the 16-bit folder goes; None: it ships in int8 alone
    first:bool = False # Is there a first stage?

boxes = {o.name:o for o in (
    Box('english', english, ('en',), 'sentence-transformers/all-MiniLM-L6-v2', 'apache-2.0', jigsaw_targets,
        """`Detector()` opens it.

Trained by `python -m recipes.detectors` from sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), six layers, mean of the token vectors.
Its texts are English; other languages get scores that mean little, and the answer says so. It reads texts by the rules `strict`, which
undo much of what is written to pass unseen (`1d1ot`, `i d i o t`). Its last two layers were then trained twice more (seeds 45 and 46, the
mean of both) on a part of the corpora and on sentences of the recipe, by their kinds: threats and wishes of harm, sneers, swearing at
nobody and for joy, hate that is asked, hinted at, denied, quoted, and harmless sentences that look alike. They ship as an update beside
the network. The weights to fine-tune are those before it, and keep the rules `light`, by which they were trained.""",
        """`toxic` on comments of
Wikipedia as they come, the rarer labels on all of Jigsaw's development rows, threats on those of all corpora.""",
        """Emoji that carry the hate are read poorly, as are sneering praise, insinuation, irony, and what only the thread tells: about half of such
sentences pass the balanced thresholds, and most the cautious ones, also in the check list of behaviour that ships with the library, whose
author wrote the sentences of the recipe. It takes denied or quoted hate for hate more often than plain talk. Letters that are lost or
swapped cost recall. What stands beyond 128 tokens is cut, unless it is opened with `long='windows'`.""",
        'toxicai/detectors/english', '1.2.0', 'strict', 'toxicai_weights/detectors/english', True),
    Box('multilingual', (*english, *others), languages, 'intfloat/multilingual-e5-small', 'mit', world_targets,
        """`pip install toxicai-multilingual` brings it, `Detector('multilingual')` opens it.

Trained by `python -m recipes.detectors` from intfloat/multilingual-e5-small (MIT), twelve layers, mean of the token vectors, with the pieces
of its vocabulary that its languages use. It reads Arabic, Chinese, English, French, German, Italian, Korean, Portuguese, Spanish and
Turkish, and Urdu in Latin letters; other languages get scores that mean little. Only English taught it all six labels; what the corpora
of other languages say besides `toxic` stands in the table below. It ships in int8 alone: the recipe makes weights to fine-tune.""",
        """`toxic` on up to 1,000 rows
of each language, which no corpus but Jigsaw's English one took as they come, so that precision and false positives in the wild differ;
the rarer labels on Jigsaw's development rows, threats on all.""",
        """For English, the English detector judges better. Arabic tweets and French ones are few and their labels noisy; Italian and Turkish have little
more than a thousand rows each. Threats are few in all corpora and poorly told apart: see the precision of their thresholds. Hate in
polite words, irony, and what only the thread tells are read poorly, and quoted or opposed hate is taken for hate. What stands beyond 96
tokens is cut, unless it is opened with `long='windows'`.""",
        'toxicai_multilingual/detectors/multilingual'))}

def weights_text(box, parts):
    "Markdown: what the card of the weights of `box` says"
    return weights_about.format(rules=box.rules) + about.format(first='', **parts)

def working_copy(folder, box, base=None):
    "A copy of `folder` that reads texts by the rules of `box`, its int8 network as an update of that of `base`"
    work = Path(folder).with_name('packed')
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(folder, work)
    if base: update_network(work, base)
    text = read_folder(work).text
    return change_meta(work, text={**text, 'rules':Rules(box.rules, box.languages[0]).names}).path

def stages(df, work, kept, first):
    "First stage to ship, the same as it compares with `work`, and targets of the rows of this"
    det = Detector(work, 'onnx-int8')
    if first is None:
        stage,targs = first_stage(df, det, kept)
        return stage,stage,targs
    stage = read_first(read_folder(first))
    return stage,*compared_anew(df, det, stage)

@dataclass(frozen=True)
class FirstPart:
    "What a packed folder says of a first stage; nothing where there is none"
    stage:object = None
    facts:dict = None # For `toxicai.json`
    card:str = '' # Markdown

def first_part(df, work, box, labelled, kept=None, first=None):
    "The first stage of `box`, compared with `work`"
    if not box.first: return FirstPart()
    stage,compared,targs = stages(df, work, kept, first)
    cut,facts = bound_that_holds(stage, compared, labelled)
    return FirstPart(stage, facts, first_text(box.name, compared, labelled, targs, cut, facts))

def note_figures(work, judged, labelled, box):
    "Labels, languages and figures of the development rows in `work`"
    auc = masked_scores('roc_auc', judged.targs, judged.probs)
    measured = dict(set='development', texts=judged.n, date=str(date.today()), thresholds=threshold_text(labelled))
    change_meta(work, labels=labelled.to_dict(), languages=list(box.languages), measured=measured, data={}, # of the loaders of a step
                metrics={f'roc_auc {o}':float(v) for o,v in zip(labels, auc)})

def pack(df, folder, box, root, kept=None, first=None, base=None):
    "Write the folders of `box` that ship, below `root`"
    # `kept` is a file for what the network says, for the first stage; `first` a packed folder whose first stage stays as it is,
    # `base` one whose int8 network stays as it is: the new one is that and an update
    own = df[df.source.isin([o.name for o in box.sources])]
    dev = own[own.dev].reset_index(drop=True)
    work = working_copy(folder, box, base)
    judged = judged_dev(work, dev, 'onnx-int8', box.targets)
    found,labelled,uses = decisions(judged)
    print(found)
    note_figures(work, judged, labelled, box)
    part = first_part(df, work, box, labelled, kept, first)
    figures = label_rows(judged.with_labels(labelled), uses)
    if len(box.languages)>1: figures += '\n\n'+language_rows(judged, dev.lang.to_numpy())
    said = dict(name=box.name, n=len(dev), train=len(own)-len(dev), origin=box.origin, rows=box.rows, fails=box.fails,
                figures=figures, credits=credits_table(box.sources))
    card = dict(base=box.base, license=box.license)
    served = about.format(first=part.card, **said)
    paths = [pack_detector(work, root/box.int8, box.name, box.version, uses, list(box.languages), about=served, **card)]
    if part.stage is not None:
        write_first(read_folder(paths[0]), part.stage)
        change_meta(paths[0], first=part.facts)
    if box.weights and base is None: # what an update brings is in int8 alone
        change_meta(work, text=read_folder(folder).text) # as they were trained
        paths.append(pack_weights(work, root/box.weights, box.name, box.version, about=weights_text(box, said), **card))
    for o in paths: print(o, f'{sum(p.stat().st_size for p in o.iterdir())/1e6:.1f} MB')
    print(figures)
    for k,o in uses.items(): print(k, {label:{n:round(v, 3) for n,v in row.items()} for label,row in o.items()})
