"""Load on the service, made by wrk on loopback: requests a second and latencies at 1, 8 and 64 connections, processor seconds of
the server for 1,000 texts beside those of the bare detector (and those of the generator), memory while it lasts, and what twice
the capacity brings: refusals, no failures, and how soon all is well again.

    python -m benchmarks.service FOLDER [--seconds 10] [--connections 1 8 64] [--texts 4000] [--threads 1] [--workers 1]
                                 [--memory 600] [--only bare load memory overload]

The texts are short comments (at most 140 characters) of TOXICAI_DATA, each once, so that the cache of repeats is of no use.
"""
import argparse,json,os,re,resource,shutil,signal,subprocess,sys,tempfile,time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx,numpy as np

from benchmarks.common import check_choices,data_file,parser_of
from toxicai.serve.detector import Detector

PARTS = ('bare','load','memory','overload')
ticks = os.sysconf('SC_CLK_TCK')

script = r'''
local bodies = {}
for line in io.lines(os.getenv('TOXICAI_BODIES')) do bodies[#bodies+1] = line end
local at = 0
function setup(thread) thread:set('start', at); at = at+997 end
local i = nil
function request()
  if i == nil then i = start or 0 end
  i = i+1
  return wrk.format('POST', '/v1/classify', {['Content-Type']='application/json'}, bodies[i % #bodies + 1])
end
local seen = {}
function response(status) seen[status] = (seen[status] or 0)+1 end
function done(summary, latency, requests)
  local l = latency
  io.write(string.format('RESULT {"requests":%d,"us":%d,"p50":%f,"p99":%f,"errors":%d,"refused":%d}\n', summary.requests,
    summary.duration, l:percentile(50), l:percentile(99), summary.errors.status, summary.errors.timeout))
end
'''

def short_comments(
    n:int, # Comments
) -> list:
    "Comments as most are: short, each another"
    texts = data_file('jigsaw_train_part').comment_text.dropna().drop_duplicates()
    return [' '.join(o.split()) for o in texts[texts.str.len()<=140]][:n]

def cpu_seconds(
    pid:int, # Of a process
) -> float:
    "Processor seconds of a process and its children"
    def _of(p): return sum(map(int, Path(f'/proc/{p}/stat').read_text().rsplit(')', 1)[1].split()[11:13]))/ticks
    children = Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
    return _of(pid)+sum(map(_of, children))

def memory_mb(
    pid:int, # Of a process
) -> float:
    "Resident memory of a process and its children"
    children = Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
    return sum(int(re.search(r'VmRSS:\s+(\d+)', Path(f'/proc/{p}/status').read_text())[1])/1024 for p in (pid,*children))

def start_service(
    folder, # Detector folder
    args, # Of the command line
    **kw, # For `run_service`
) -> tuple: # (process, address)
    "A service in a process of its own"
    kw = dict(port=0, threads=args.threads, workers=args.workers, backend=args.backend, families=['own'], log='warning', **kw)
    code = f'from toxicai.serve.running import run_service; run_service({str(folder)!r}, **{kw!r})'
    p = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    return p,p.stdout.readline().split()[-1]

def load(
    url:str, # Of the service
    connections:int, # At the same time
    seconds:float, # How long
    env:dict, # With the file of bodies
    lua:str, # Path of the script
) -> dict: # As the script tells, and the processor seconds of wrk
    "Load by wrk"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    cmd = ['wrk','-t1',f'-c{connections}',f'-d{seconds:g}s','--latency','--timeout','10s','-s',lua,url]
    out = subprocess.run(cmd, env=env, capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    res = json.loads(re.search(r'RESULT (.*)', out)[1])
    return dict(res, wrk_cpu=after.ru_utime+after.ru_stime-before.ru_utime-before.ru_stime)

def bare(
    folder, # Detector folder
    texts:list, # n of them
    args, # Of the command line
) -> float: # Processor seconds for 1,000 texts
    "The detector alone, with all texts at once"
    d = Detector(folder, args.backend, threads=args.threads)
    d(texts[:200])
    start,wall = time.process_time(),time.perf_counter()
    d(texts)
    cpu,wall = time.process_time()-start,time.perf_counter()-wall
    print(f'bare detector {d.backend}: {len(texts)/wall:.0f} texts/s, {1000*cpu/len(texts):.2f} processor seconds for 1,000 texts')
    return 1000*cpu/len(texts)

def main():
    parser = parser_of(__doc__)
    parser.add_argument('folder')
    parser.add_argument('--seconds', type=float, default=10)
    parser.add_argument('--connections', type=int, nargs='+', default=[1,8,64])
    parser.add_argument('--texts', type=int, default=4000)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument('--backend', default='auto')
    parser.add_argument('--memory', type=float, default=600)
    parser.add_argument('--only', nargs='+', default=PARTS)
    args = parser.parse_args()
    check_choices(parser, 'part', args.only, PARTS)
    if not shutil.which('wrk'): sys.exit('wrk is not here: `apt-get install wrk`')
    texts = short_comments(args.texts)
    with tempfile.TemporaryDirectory() as tmp: run_parts(args, texts, Path(tmp))

def run_parts(args, texts, tmp):
    bodies,lua = tmp/'bodies',tmp/'load.lua'
    bodies.write_text('\n'.join(json.dumps(dict(text=o)) for o in texts)+'\n')
    lua.write_text(script)
    env = {**os.environ, 'TOXICAI_BODIES':str(bodies)}
    base = bare(args.folder, texts, args) if 'bare' in args.only else None
    p,url = start_service(args.folder, args, cache=0)
    try:
        if 'load' in args.only: show_load(args, p, url, env, str(lua), base)
        if 'memory' in args.only: show_memory(args, p, url, env, str(lua))
    finally: end(p)
    if 'overload' in args.only: show_overload(args, env, str(lua))

def end(p):
    p.send_signal(signal.SIGTERM)
    p.wait()

def show_load(args, p, url, env, lua, base):
    load(url, 8, 2, env, lua)
    print('connections  requests/s  p50 ms  p99 ms  server s/1,000  of the bare  wrk s/1,000  not 2xx')
    for n in args.connections:
        before = cpu_seconds(p.pid)
        o = load(url, n, args.seconds, env, lua)
        own,per = cpu_seconds(p.pid)-before,1000/o['requests']
        share = f'{base/(own*per):.2f}' if base else '-'
        print(f"{n:11} {o['requests']/o['us']*1e6:11.0f} {o['p50']/1000:7.1f} {o['p99']/1000:7.1f} {own*per:15.2f} {share:>12} "
              f"{o['wrk_cpu']*per:12.2f} {o['errors']:8}")

def show_memory(args, p, url, env, lua):
    print(f'memory over {args.memory:g} s at 8 connections, MiB:', f'{memory_mb(p.pid):.0f}', end='', flush=True)
    for _ in range(10):
        load(url, 8, args.memory/10, env, lua)
        print('', f'{memory_mb(p.pid):.0f}', end='', flush=True)
    print()

def show_overload(args, env, lua):
    "A short queue, and many more connections than it holds"
    p,url = start_service(args.folder, args, cache=0, queue=32)
    try:
        with ThreadPoolExecutor(1) as pool:
            busy = pool.submit(load, url, 128, args.seconds, env, lua)
            statuses = [httpx.post(f'{url}/v1/classify', json=dict(text=f'probe {i}')).status_code for i in range(50)]
            o = busy.result()
        start,tried = time.perf_counter(),0
        while httpx.post(f'{url}/v1/classify', json=dict(text=f'again {tried}')).status_code!=200: tried += 1
        print(f"128 connections, queue of 32: {o['requests']:,} answers, {o['errors']:,} refused; of 50 probes "
              f"{ {k:statuses.count(k) for k in sorted(set(statuses))} }; well again after {time.perf_counter()-start:.3f} s")
    finally: end(p)

if __name__=='__main__': main()
