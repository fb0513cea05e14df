"""Scoring in bulk: short comments (sampled from the data) through a detector folder, from file to file. Rate, peak memory of the
process at a tenth of the rows and at all of them, share of the time in tokenising and writing, and in which the detector waits for
rows; and `--kills`: a job of real processes that is killed with kill -9 that often, at any moment, and started again, compared byte
for byte with one that was not.

    python -m benchmarks.bulk --folder FOLDER [--rows 1000000] [--backend onnx-int8] [--workers 1] [--kills 20] [--kind csv]
"""
import json,os,random,signal,subprocess,sys,tempfile,time
from pathlib import Path

from benchmarks.common import *
from toxicai.files import file_digest
from toxicai.streams import RowBlock,block_rows,write_rows

most = 200 # characters of a short comment

def short_comments(
    n:int, # How many
    path:Path, # File to write
):
    "A file of `n` short comments, drawn with repeats"
    texts = data_file('jigsaw_train_part').comment_text.dropna()
    texts,rng = texts[texts.str.len()<=most].tolist(),random.Random(0)
    def _blocks():
        for i in range(0, n, block_rows):
            rows = [dict(id=str(k), text=rng.choice(texts)) for k in range(i, min(n, i+block_rows))]
            yield RowBlock(i, ['id','text'], rows)
    write_rows(_blocks(), path)

# One job in a process of its own

def started(args): # A job in a new process
    return subprocess.Popen([sys.executable, '-m', 'benchmarks.bulk_job', json.dumps(args)], stdout=subprocess.PIPE, text=True)

def finished(run): # What it printed at its end
    out = run.communicate()[0]
    if run.returncode: sys.exit(f'the job ended with {run.returncode}')
    return json.loads(out.splitlines()[-1])

# Rate, memory and shares

def rate(args, home):
    "Table of a tenth of the rows and of all of them"
    rows = []
    for n in (args.rows//10,args.rows):
        src = home/f'{n}.{args.kind}'
        short_comments(n, src)
        res = finished(started(facts(args, src, home/f'scored-{n}.{args.kind}')))
        took,parts = res['seconds'],res['parts']
        share = {k:parts.get(k, float('nan'))/took for k in ('encode','verdicts','put','finish')}
        rows.append({'rows':n, 'seconds':took, 'rows/s':n/took, 'peak MiB':res['peak'], 'tokenising, share':share['encode'],
                     'writing, share':share['put']+share['finish'], 'joining, share':share['finish'],
                     'the detector waits, share':1-share['verdicts']})
    show(rows, f'Short comments through {args.backend}, {args.workers} processes of {args.threads} threads')
    return src,home/f'scored-{n}.{args.kind}'

def facts(args, src, dst): # What the job is told
    return dict(src=str(src), dst=str(dst), **{o:getattr(args, o) for o in ('folder','backend','threads','workers','chunk')})

# Kills

def kills(args, home):
    "Kill a job again and again, at moments drawn at random over all that it does, and compare"
    src,dst,rng = home/f'kills.{args.kind}',home/f'killed.{args.kind}',random.Random(0)
    short_comments(args.kill_rows, src)
    whole = finished(started(facts(args, src, home/f'whole.{args.kind}')))
    n_blocks = -(-args.kill_rows//args.chunk)
    killed,step = [],whole['seconds']/n_blocks
    while len(killed)<args.kills and not dst.exists():
        run = started(facts(args, src, dst))
        for _ in range(rng.randrange(1, 3)+len(killed)*n_blocks//(2*args.kills)):
            if not (last := run.stdout.readline()): break
        time.sleep(rng.random()*step)
        os.kill(run.pid, signal.SIGKILL)
        run.communicate()
        killed.append(last.strip()[:20])
    res = finished(started(facts(args, src, dst))) if not dst.exists() else {}
    same = file_digest(dst)==file_digest(home/f'whole.{args.kind}')
    left = [o.name for o in home.iterdir() if 'toxicai-score' in o.name]
    show([{'kills':len(killed), 'rows':args.kill_rows, 'blocks':n_blocks, 'rows of the last run from before':res.get('earlier'),
           'same bytes':same, 'left behind':len(left)}], f'Killed with kill -9, after these rows: {" ".join(killed)}')
    if not same: sys.exit('the output is another one')

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('--folder', help='a detector folder')
    p.add_argument('--rows', type=int, default=1_000_000)
    p.add_argument('--backend', default='onnx-int8')
    p.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument('--workers', type=int, default=1)
    p.add_argument('--chunk', type=int, default=block_rows)
    p.add_argument('--kind', default='csv', help='csv, tsv, jsonl, parquet')
    p.add_argument('--kills', type=int, default=0)
    p.add_argument('--kill-rows', type=int, default=4000)
    args = p.parse_args()
    if not args.folder: p.error('--folder is needed')
    begin()
    with tempfile.TemporaryDirectory() as home:
        if args.kills:
            args.chunk = min(args.chunk, 200)
            kills(args, Path(home))
        else: rate(args, Path(home))
