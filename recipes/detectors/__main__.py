"""From the data folder to the detectors that ship: `english` and `multilingual`.

    python -m recipes.detectors frame NAME FRAME       # all rows of its corpora (TOXICAI_DATA), development rows marked: a Parquet file
    python -m recipes.detectors train NAME FRAME RUNS  # the steps of its course, each resumed where it was stopped, and what comes of them
    python -m recipes.detectors pack NAME FRAME FOLDER # calibration, thresholds for three uses, first stage, folders for the wheels

The multilingual one begins with a folder of intfloat/multilingual-e5-small: `--encoder FOLDER` for `train`. Two hours on two
cores each. The same seeds give the same rows and steps; `RUNS/*/step.json` has every choice.
"""
import argparse
from pathlib import Path

import pandas as pd
from toxicai.text.tokenizer import packaged_encoder
from .corpora import english,others
from .course import english_course,english_updates,multilingual_course,run_step,soup_of
from .encoder import cut_encoder
from .frame import whole_frame,without_copies

root = Path(__file__).parents[2]

def frame(args):
    df = without_copies(whole_frame(english))
    if args.name=='multilingual': # what is for development in English is the same for both
        df = pd.concat([df, without_copies(whole_frame(others))], ignore_index=True)
    df.to_parquet(args.frame)
    print(f'{len(df):,} rows, {int(df.dev.sum()):,} of them for development')

def train(args):
    df,runs = pd.read_parquet(args.frame),Path(args.runs)
    if args.name=='multilingual':
        if not args.encoder: raise SystemExit('--encoder FOLDER: where intfloat/multilingual-e5-small lies')
        encoder = cut_encoder(df, args.encoder, runs/'encoder')
        body = encoder
        for step in multilingual_course: body = run_step(df, step, encoder, body, runs/step.name)
        return print(body)
    folders = [None]
    for step in english_course: folders.append(run_step(df, step, packaged_encoder(), folders[-1], runs/step.name))
    soup = soup_of(df, english_course[-1], packaged_encoder(), folders[-2:], runs/'soup')
    updates = [run_step(df, o, packaged_encoder(), soup, runs/o.name) for o in english_updates]
    print(soup_of(df, english_updates[0], packaged_encoder(), updates, runs/'updated'))

def pack(args):
    from .pack import boxes,pack
    pack(pd.read_parquet(args.frame), args.folder, boxes[args.name], root, first=args.first, base=args.base)

p = argparse.ArgumentParser(prog='python -m recipes.detectors', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
subs = p.add_subparsers(required=True)
for f,names in ((frame, ['frame']), (train, ['frame','runs']), (pack, ['frame','folder'])):
    sub = subs.add_parser(f.__name__)
    sub.add_argument('name', choices=['english','multilingual'])
    for o in names: sub.add_argument(o)
    if f is train: sub.add_argument('--encoder')
    if f is pack:
        sub.add_argument('--first', help='a packed folder whose first stage stays as it is')
        sub.add_argument('--base', help='a packed folder whose int8 network stays as it is: the new one is that and an update')
    sub.set_defaults(run=f)
args = p.parse_args()
args.run(args)
