"Folders for the wheels: calibration, thresholds for three uses, cards"
import shutil
from datetime import date
from pathlib import Path

from toxicai.judge.measures import masked_scores
from toxicai.judge.report import threshold_text
from toxicai.serve.folder import change_meta
from toxicai.train.export import pack_detector,pack_weights
from .corpora import credits,english,labels
from .decide import decisions,judged_dev

version = '1.0.0'

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

about = """What it is for: to sort comments for people who decide, and to warn writers before they post. What it must not be used for: to punish people
unseen, to judge persons, or to measure groups by what their members write.

Trained by `python -m recipes.detectors` from sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), six layers, mean of the token vectors.
Its texts are English; other languages get scores that mean little, and the answer says so.

### How well it judges

Development rows, which no step was trained on, {n:,} in all, taken apart by groups of near-duplicates (seed 42): `toxic` on comments of
Wikipedia as they come, the rarer labels on all of Jigsaw's development rows, threats on those of all corpora. A label with under 100
positives has no figure that decides anything. int8 network. `python -m benchmarks.judging english` prints these and more.

{figures}

### Where it fails

Emoji that carry the hate are read poorly, as are hate in polite words, irony, and what only the thread tells. It takes quoted or opposed
hate for hate more often than plain talk, and reclaimed words for attacks. Letters that are moved or masked cost recall. What stands
beyond 128 tokens is cut, unless it is opened with `long='windows'`.

### What it was trained on

{credits}
"""

def pack_english(df, folder, root):
    "Write `toxicai/detectors/english` and `toxicai_weights/detectors/english`"
    dev = df[df.dev].reset_index(drop=True)
    judged = judged_dev(folder, dev, 'onnx-int8')
    found,labelled,uses = decisions(judged)
    work = Path(folder).with_name('packed')
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(folder, work)
    auc = masked_scores('roc_auc', judged.targs, judged.probs)
    change_meta(work, labels=labelled.to_dict(), languages=['en'], metrics={f'roc_auc {o}':float(v) for o,v in zip(labels, auc)},
                measured=dict(set='development', texts=len(dev), date=str(date.today()), thresholds=threshold_text(labelled)))
    text = about.format(n=len(dev), figures=label_rows(judged.with_labels(labelled), uses), credits=credits_table(english))
    card = dict(base='sentence-transformers/all-MiniLM-L6-v2', about=text, license='apache-2.0')
    print(found)
    for o in (pack_detector(work, root/'toxicai/detectors/english', 'english', version, uses, ['en'], **card),
              pack_weights(work, root/'toxicai_weights/detectors/english', 'english', version, **card)):
        print(o, f'{sum(p.stat().st_size for p in o.iterdir())/1e6:.1f} MB')
    print(label_rows(judged.with_labels(labelled), uses))
    for k,o in uses.items(): print(k, {label:{n:round(v, 3) for n,v in row.items()} for label,row in o.items()})
