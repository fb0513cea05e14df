"""More rows than memory: comments (repeated with a number, so that none is a copy) in a Parquet file, tokenised into
a store and trained from it. Seconds and peak memory of the process: of everything, and of what is its own and not
pages of files.

    python -m benchmarks.store [--rows 100000 1000000 5000000] [--steps 200] [--prepare]
                               [--checkpoint FOLDER] [--labels 6] [--bs 32]
"""
import json,resource,subprocess,sys,tempfile,threading,time
from pathlib import Path

import pyarrow as pa,pyarrow.parquet as pq
from benchmarks.common import *

def repeated_comments(
    n:int, # How many
    n_labels:int, # Label columns
    path:Path, # File to write
):
    "A Parquet file of `n` comments"
    df = data_file('jigsaw_train_part').dropna(subset=['comment_text', *jigsaw_labels])
    texts,labels = df.comment_text.str[:2000].tolist(),df[jigsaw_labels[:n_labels]].astype('int8')
    writer,k = None,len(texts)
    for i in range(0, n, k):
        m = min(k, n-i)
        table = pa.table(dict(text=[f'{o} {i//k}' for o in texts[:m]], **{c:labels[c].to_numpy()[:m] for c in labels}))
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()

allowed = 3e9/2**20 # MiB of the process that prepares, opens or trains
peaks = ('peak MiB','opening, MiB','peak with it') # What is held against it

# One process each, which says what it took

def own_memory() -> int: # KiB
    "Memory of this process that is no page of a file"
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(o.split()[1]) for o in lines if o.startswith('RssAnon'))

class Peak:
    "Largest memory of this process while the block runs"
    def __enter__(self):
        self.own,self.going = 0,True
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        self.start = time.perf_counter()
        return self

    def watch(self):
        while self.going:
            self.own = max(self.own, own_memory())
            time.sleep(0.05)

    def __exit__(self, *args):
        self.seconds,self.going = time.perf_counter()-self.start,False
        self.own = max(self.own, own_memory())/1024
        self.all = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024

def job(how):
    "Make loaders and train; what it took, as JSON"
    from toxicai.all import ToxicityDataLoaders,toxicity_learner
    quiet()
    warnings.simplefilter('ignore')
    from fastai.callback.core import Callback
    from fastai.basics import CancelFitException
    class Stop(Callback):
        def after_batch(self):
            if self.train_iter>=how['steps']: raise CancelFitException()
    with Peak() as made:
        dls = ToxicityDataLoaders.from_store(how['file'], how['checkpoint'], text_col='text',
                                             label_cols=jigsaw_labels[:how['labels']], bs=how['bs'],
                                             max_length=128, folder=how['folder'])
    res = {'seconds':made.seconds, 'peak MiB':made.all, 'own MiB':made.own}
    if how['steps']:
        learn = toxicity_learner(dls, metrics=[])
        with Peak() as trained, learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-4, cbs=Stop())
        res |= {'training, s':trained.seconds, 'peak with it':trained.all, 'own with it':trained.own}
    print(json.dumps(res))

def run(how):
    job = [sys.executable, '-m', 'benchmarks.store', '--job', json.dumps(how)]
    out = subprocess.run(job, stdout=subprocess.PIPE, text=True)
    if out.returncode: sys.exit(f'the job ended with {out.returncode}')
    return json.loads(out.stdout.splitlines()[-1])

def measured(n, args): # A row of the table
    "A store of `n` rows: prepared, opened, and trained from"
    from toxicai.text.tokenizer import packaged_encoder
    with tempfile.TemporaryDirectory() as d:
        os.environ['HF_DATASETS_CACHE'] = d
        file = Path(d)/'comments.parquet'
        repeated_comments(n, args.labels, file)
        how = dict(file=str(file), folder=d+'/stores', checkpoint=args.checkpoint or str(packaged_encoder()),
                   labels=args.labels, bs=args.bs, steps=0)
        first = run(how)
        again = run({**how, 'steps':0 if args.prepare else args.steps})
        disk = sum(o.stat().st_size for o in Path(d).rglob('*') if o.is_file() and o!=file)/2**20
    row = {'rows':n, 'preparing, s':first['seconds'], 'peak MiB':first['peak MiB'], 'of its own':first['own MiB'],
           'opening, s':again.pop('seconds'), 'opening, MiB':again.pop('peak MiB'),
           'opening, own':again.pop('own MiB'), **again, 'disk MiB':disk}
    highest = max(v for k,v in row.items() if k in peaks)
    return {**row, 'below 3 GB':'yes' if highest<allowed else 'no'}

def main():
    parser = parser_of(__doc__)
    parser.add_argument('--rows', type=int, nargs='+', default=[10**5, 10**6, 5*10**6])
    parser.add_argument('--steps', type=int, default=200, help='training steps from the opened store')
    parser.add_argument('--prepare', action='store_true', help='no training')
    parser.add_argument('--labels', type=int, default=6, help='label columns')
    parser.add_argument('--bs', type=int, default=32, help='texts in a batch')
    parser.add_argument('--checkpoint', help='the packaged encoder by default')
    parser.add_argument('--job', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job: return job(json.loads(args.job))
    begin()
    rows = []
    for n in args.rows:
        rows.append(measured(n, args))
        note(rows[-1])
    show(rows, 'Stores')

if __name__=='__main__': main()
