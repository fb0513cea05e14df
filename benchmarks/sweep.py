"""A sweep as people run it: the packaged encoder on a sample of tweets, offline, random search, then the best setting beside the default
over several seeds. Real data, found through TOXICAI_DATA. A second call goes on where the first stopped.

    python -m benchmarks.sweep [--runs 12] [--rows 4000] [--seeds 3] [--folder sweeps/davidson]
"""
import argparse,os,time,warnings
from pathlib import Path

from benchmarks.common import *
from toxicai.all import *

plan = dict(name='davidson', method='random', metric=dict(name='valid/f1', goal='maximize'), parameters=dict(
    lr=dict(distribution='log_uniform_values', min=1e-4, max=2e-3), decay=dict(values=[None, 0.7, 0.85]), warmup=dict(values=[0.06, 0.1, 0.3]),
    bs=dict(values=[16, 32]), dropout=dict(values=[0.1, 0.3]), class_weight=dict(values=[None, 'balanced']), balance=dict(values=[0., 0.5]), epochs=dict(value=1)))

def sample(n):
    "`n` tweets, a fifth of them for validation"
    return data_file('davidson')[['text','label_name']].sample(n, random_state=42).reset_index(drop=True)

def main(runs, rows, n_seeds, folder):
    start = time.perf_counter()
    fixed = dict(text_col='text', label_cols='label_name', checkpoint=packaged_encoder(), metrics=label_metrics('f1, accuracy'), max_length=64, split_seed=42)
    res = sweep({**plan, 'rows':rows}, sample(rows), count=runs, folder=folder, **fixed)
    minutes = (time.perf_counter()-start)/60
    table = res.results().reset_index()
    cols = ['number','state',*[k for k in plan['parameters'] if k!='epochs'],'valid/f1','valid/accuracy','valid/loss','seconds']
    show(table[[o for o in cols if o in table]].round(4).to_dict('records'), f'{len(table)} runs on {rows:,} tweets in {minutes:.1f} minutes (this call)')
    if len(table)>=5: show(res.importance().reset_index().to_dict('records'), f'importance of the settings, {len(table)} runs: a hint')
    if n_seeds>1: show(res.seeds(range(1, n_seeds+1)).reset_index().round(4).to_dict('records'), f'macro F1 over seeds 1 to {n_seeds}, with 95 % intervals')

if __name__=='__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--runs', type=int, default=12)
    p.add_argument('--rows', type=int, default=4000)
    p.add_argument('--seeds', type=int, default=3)
    p.add_argument('--folder', default='sweeps/davidson')
    args = p.parse_args()
    os.environ['WANDB_MODE'],os.environ['WANDB_SILENT'] = 'offline','true'
    quiet()
    warnings.simplefilter('ignore')
    print(machine())
    main(args.runs, args.rows, args.seeds, args.folder)
