"What the benchmarks share: command lines, data, a learner, interleaved rounds, tables"
import argparse,os,platform,sys,time,warnings
from pathlib import Path
from statistics import median

import numpy as np,pandas as pd,torch,transformers

jigsaw_labels = ['toxic','severe_toxic','obscene','threat','insult','identity_hate']

def parser_of(
    doc:str, # Docstring of the benchmark, printed as it is
) -> argparse.ArgumentParser:
    "A parser whose help is `doc`"
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)

def check_choices(
    parser, # Of the command line
    what:str, # What the names are of
    names, # Given
    known, # Allowed
):
    "End with an error where `names` has one that is not `known`"
    odd = set(names)-set(known)
    if odd: parser.error(f"no {what} {', '.join(sorted(odd))}: expected some of {', '.join(known)}")

def data_file(
    name:str, # File name without ending
) -> pd.DataFrame: # Its rows
    "A file of the folder that the environment variable TOXICAI_DATA names"
    folder = os.environ.get('TOXICAI_DATA')
    if not folder: sys.exit("set TOXICAI_DATA to the folder with the data files (see README)")
    return pd.read_parquet(Path(folder)/f'{name}.parquet')

def quiet():
    "No progress of loading between the figures"
    os.environ.setdefault('HF_HUB_OFFLINE', '1')
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

def begin():
    "Neither progress nor warnings between the figures, and the machine on top"
    quiet()
    warnings.simplefilter('ignore')
    print(machine())

def machine() -> str: # One line
    "What the figures were measured on"
    gpu = f', {torch.cuda.get_device_name()}' if torch.cuda.is_available() else ''
    cores,threads = f'{os.cpu_count()} cores ({torch.backends.cpu.get_cpu_capability()})',torch.get_num_threads()
    libraries = f'torch {torch.__version__}, transformers {transformers.__version__}'
    return f'{cores}{gpu}, {threads} threads, Python {platform.python_version()}, {libraries}'

def interleaved(
    runs:dict, # Name -> function that does the work once and returns a number, for example seconds
    rounds:int=3, # How often each is run, in turn
) -> dict: # Name -> list of results
    "Run everything in turn, so that a slow minute of the machine hits all alike; a round before does not count"
    res = {o:[] for o in runs}
    for r in range(rounds+1):
        for name,f in runs.items():
            x = f()
            print(f'  round {r} {name}: {x:.2f}', file=sys.stderr, flush=True)
            if r: res[name].append(x)
    return res

def pairwise(
    a, # Results of one, round by round
    b, # Results of the other
) -> float: # Median of the ratios
    "Median over the rounds of `a/b`"
    return median(x/y for x,y in zip(a, b))

def mean_sd(
    xs, # Numbers
) -> str: # With four digits; without the deviation where there is one number
    "Mean and standard deviation of `xs`"
    return f'{np.mean(xs):.4f}' + (f' ± {np.std(xs, ddof=1):.4f}' if len(xs)>1 else '')

def note(
    row:dict, # Figures by name
):
    "Print `row` beside the tables while the rest is still running"
    print(' ', {k:round(v, 4) if isinstance(v, float) else v for k,v in row.items()}, file=sys.stderr, flush=True)

def show(
    rows, # Dicts with the same keys
    title='', # Printed above
):
    "Print `rows` as a Markdown table"
    cols = list(rows[0])
    def _cell(o): return f'{o:.4g}' if isinstance(o, float) else str(o)
    print(f'\n{title}\n' if title else '')
    print('| ' + ' | '.join(cols) + ' |\n|' + '---|'*len(cols))
    for r in rows: print('| ' + ' | '.join(_cell(r[c]) for c in cols) + ' |', flush=True)
