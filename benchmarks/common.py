"What the benchmarks share: data, interleaved rounds, tables"
import os,platform,sys,time
from pathlib import Path
from statistics import median

import pandas as pd,torch,transformers

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

def machine() -> str: # One line
    "What the figures were measured on"
    gpu = f', {torch.cuda.get_device_name()}' if torch.cuda.is_available() else ''
    return (f'{os.cpu_count()} cores ({torch.backends.cpu.get_cpu_capability()}){gpu}, {torch.get_num_threads()} threads, Python {platform.python_version()}, '
            f'torch {torch.__version__}, transformers {transformers.__version__}')

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

def show(
    rows, # Dicts with the same keys
    title='', # Printed above
):
    "Print `rows` as a Markdown table"
    cols = list(rows[0])
    cell = lambda o: f'{o:.4g}' if isinstance(o, float) else str(o)
    print(f'\n{title}\n' if title else '')
    print('| ' + ' | '.join(cols) + ' |\n|' + '---|'*len(cols))
    for r in rows: print('| ' + ' | '.join(cell(r[c]) for c in cols) + ' |', flush=True)
