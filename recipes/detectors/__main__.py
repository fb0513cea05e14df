"""From the data folder to the detectors that ship.

    python -m recipes.detectors frame FRAME            # all rows of the corpora (TOXICAI_DATA), development rows marked: a Parquet file
    python -m recipes.detectors train FRAME RUNS       # the steps of the course, each resumed where it was stopped, and their mean
    python -m recipes.detectors pack FRAME FOLDER      # calibration, thresholds for three uses, folders for the wheels

Two hours on two cores. The same seeds give the same rows and steps; `RUNS/*/step.json` has every choice.
"""
import argparse
from pathlib import Path

import pandas as pd
from toxicai.text.tokenizer import packaged_encoder
from .corpora import english
from .course import english_course,run_step,soup_of
from .frame import whole_frame,without_copies

root = Path(__file__).parents[2]

def frame(args):
    df = without_copies(whole_frame(english))
    df.to_parquet(args.frame)
    print(f'{len(df):,} rows, {int(df.dev.sum()):,} of them for development')

def train(args):
    df,folders = pd.read_parquet(args.frame),[None]
    for step in english_course: folders.append(run_step(df, step, packaged_encoder(), folders[-1], Path(args.runs)/step.name))
    print(soup_of(df, english_course[-1], packaged_encoder(), folders[-2:], Path(args.runs)/'soup'))

def pack(args):
    from .pack import pack_english
    pack_english(pd.read_parquet(args.frame), args.folder, root)

p = argparse.ArgumentParser(prog='python -m recipes.detectors', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
subs = p.add_subparsers(required=True)
for f,names in ((frame, ['frame']), (train, ['frame','runs']), (pack, ['frame','folder'])):
    sub = subs.add_parser(f.__name__)
    for o in names: sub.add_argument(o)
    sub.set_defaults(run=f)
args = p.parse_args()
args.run(args)
