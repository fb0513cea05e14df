"The job that benchmarks/bulk.py starts, in a process that imports nothing else: a line for each block, and at the end what it took"
import json,sys,time
from pathlib import Path

from toxicai.serve import bulk
from toxicai.serve.bulk import BulkWork,score_files
from toxicai.serve.detector import Detector

def timed(cls, name, seconds):
    "Have a method of `cls`, or a function of a module, count the seconds that it takes"
    f = getattr(cls, name)
    def _run(*args, **kwargs):
        start = time.perf_counter()
        try: return f(*args, **kwargs)
        finally: seconds[name] = seconds.get(name, 0)+time.perf_counter()-start
    setattr(cls, name, _run)

def peak_mib(): # Of this process
    "Largest resident memory in MiB"
    return int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])/1024

def job(
    args:dict, # What the command line says
):
    "Score a file, and print a line of JSON with what it took"
    seconds = {}
    d = Detector(args['folder'], args['backend'], args['threads']) if args['workers']==1 else args['folder']
    if args['workers']==1: timed(type(d.enc), 'encode', seconds)
    for o in ('put','finish'): timed(BulkWork, o, seconds)
    if args['workers']==1: timed(bulk, 'verdicts', seconds)
    settings = {} if args['workers']==1 else dict(backend=args['backend'], threads=args['threads'])
    def _say(p): print(p.rows, flush=True)
    done = score_files(args['src'], args['dst'], d, workers=args['workers'], chunk=args['chunk'], progress=_say, **settings)
    print(json.dumps(dict(rows=done.rows, earlier=done.earlier, seconds=done.seconds, peak=peak_mib(), parts=seconds)), flush=True)

if __name__=='__main__': job(json.loads(sys.argv[1]))
