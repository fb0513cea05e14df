"""Load on the service, made by wrk on loopback: requests a second and latencies at 1, 8 and 64 connections, processor
seconds of the server for 1,000 texts beside those of the bare detector (and those of the generator), memory while it
lasts, what more than the capacity brings (refusals, no failures, and how soon all is well again), and random bodies
at every route of `/openapi.json`.

    python -m benchmarks.service [FOLDER] [--seconds 10] [--connections 1 8 64] [--texts 4000]
                                 [--threads 1] [--workers 1] [--minutes 10] [--bodies 10000] [--seed 0]
                                 [--only load memory overload bodies] [--file F.jsonl]

FOLDER is the detector in the box by default. The texts are short comments (at most 140 characters) of TOXICAI_DATA,
each once, so that the cache of repeats is of no use. The bare detector is measured before and after each load, since
other work of the machine changes what a second of its processor is worth. With `--file` a line of JSON is added for
each part. Ends with status 1 where a part has found a failure: an answer of 500 or above, one that is no JSON, or a
text in the log. """
import json,os,random,re,resource,shutil,signal,subprocess,sys,tempfile,time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from datetime import date
from pathlib import Path

import httpx

from benchmarks.common import check_choices,data_file,parser_of
from benchmarks.fuzz import change_value,changed_bytes
from toxicai.serve.detector import Detector

PARTS = ('load','memory','overload','bodies')
MARK = 'Xyzzyplugh' # a word of every random body, which no log may hold
ticks = os.sysconf('SC_CLK_TCK')

script = r'''
local bodies = {}
for line in io.lines(os.getenv('TOXICAI_BODIES')) do bodies[#bodies+1] = line end
local at = 0
local threads = {}
function setup(thread) thread:set('start', at); at = at+997; table.insert(threads, thread) end
local i = nil
function request()
  if i == nil then i = start or 0 end
  i = i+1
  return wrk.format('POST', '/v1/classify', {['Content-Type']='application/json'}, bodies[i % #bodies + 1])
end
refused = 0
failed = 0
function response(status)
  if status == 429 then refused = refused+1 elseif status ~= 200 then failed = failed+1 end
end
function done(summary, latency, requests)
  local l,r,f = latency,0,summary.errors.timeout+summary.errors.read
  for _,thread in ipairs(threads) do r = r+thread:get('refused'); f = f+thread:get('failed') end
  io.write(string.format('RESULT {"requests":%d,"us":%d,"p50":%f,"p99":%f,"refused":%d,"failed":%d}\n',
    summary.requests, summary.duration, l:percentile(50), l:percentile(99), r, f))
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
    said = [Path(f'/proc/{p}/status').read_text() for p in (pid,*children)]
    return sum(int(re.search(r'VmRSS:\s+(\d+)', o)[1])/1024 for o in said)

def start_service(
    args, # Of the command line
    stderr=None, # File for its log; that of this program by default
    **kw, # For `run_service`
) -> tuple: # (process, address)
    "A service in a process of its own"
    own = dict(port=0, threads=args.threads, workers=args.workers, backend=args.backend, families=['own'],
               log='warning', cache=0)
    code = f'from toxicai.serve.running import run_service; run_service({args.folder!r}, **{ {**own, **kw}!r})'
    p = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=stderr, text=True)
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

def opened(args):
    "The detector alone, warm"
    d = Detector(*filter(None, [args.folder]), backend=args.backend, threads=args.threads)
    d(short_comments(200))
    return d

def bare(
    d, # A `Detector`
    texts:list, # n of them
) -> float: # Processor seconds for 1,000 texts
    "The detector alone, with all texts at once"
    start = time.process_time()
    d(texts)
    return 1000*(time.process_time()-start)/len(texts)

def main():
    parser = parser_of(__doc__)
    parser.add_argument('folder', nargs='?')
    parser.add_argument('--seconds', type=float, default=10)
    parser.add_argument('--connections', type=int, nargs='+', default=[1,8,64])
    parser.add_argument('--texts', type=int, default=4000)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument('--backend', default='auto')
    parser.add_argument('--minutes', type=float, default=10)
    parser.add_argument('--bodies', type=int, default=10_000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--only', nargs='+', default=PARTS)
    parser.add_argument('--file')
    args = parser.parse_args()
    check_choices(parser, 'part', args.only, PARTS)
    if not shutil.which('wrk') and set(args.only)!={'bodies'}: sys.exit('wrk is not here: `apt-get install wrk`')
    with tempfile.TemporaryDirectory() as tmp:
        sys.exit(any([run_part(o, args, Path(tmp)) for o in PARTS if o in args.only]))

def run_part(name, args, tmp):
    "Print what a part finds, keep it in the file, and say how many failures there were"
    found = parts[name](args, tmp)
    line = dict(part=name, date=str(date.today()), **found)
    if args.file:
        with open(args.file, 'a') as f: f.write(json.dumps(line)+'\n')
    return found['failed']

def end(p):
    p.send_signal(signal.SIGTERM)
    p.wait()

def wrk_files(args, tmp):
    "Bodies and script of wrk: its environment, and a path"
    bodies,lua = tmp/'bodies',tmp/'load.lua'
    bodies.write_text('\n'.join(json.dumps(dict(text=o)) for o in short_comments(args.texts))+'\n')
    lua.write_text(script)
    return {**os.environ, 'TOXICAI_BODIES':str(bodies)},str(lua)

load_line = ('{connections:11} {rate:11.0f} {p50:7.1f} {p99:7.1f} {bare:5.2f} {server:7.2f} {share:12.2f} '
             '{wrk:4.2f} {failed:8}')

def show_load(args, tmp):
    (env,lua),texts = wrk_files(args, tmp),short_comments(args.texts)
    d = opened(args)
    p,url = start_service(args)
    rows = []
    try:
        load(url, 8, 2, env, lua)
        print(f'bare detector {d.backend}; processor seconds for 1,000 texts')
        print('connections  requests/s  p50 ms  p99 ms  bare  server  of the bare  wrk  not 2xx')
        for n in args.connections:
            first,before = bare(d, texts),cpu_seconds(p.pid)
            o = load(url, n, args.seconds, env, lua)
            per = 1000/o['requests']
            own,base = (cpu_seconds(p.pid)-before)*per,(first+bare(d, texts))/2
            rows.append(dict(connections=n, rate=o['requests']/o['us']*1e6, p50=o['p50']/1000, p99=o['p99']/1000,
                             bare=base, server=own, share=base/own, wrk=o['wrk_cpu']*per,
                             failed=o['failed']+o['refused']))
            print(load_line.format(**rows[-1]), flush=True)
    finally: end(p)
    return dict(rows=rows, failed=sum(o['failed'] for o in rows))

def show_memory(args, tmp):
    env,lua = wrk_files(args, tmp)
    p,url = start_service(args)
    seen,failed = [memory_mb(p.pid)],0
    print(f'memory over {args.minutes:g} minutes at 8 connections, MiB: {seen[0]:.0f}', end='', flush=True)
    try:
        for _ in range(10):
            failed += load(url, 8, 6*args.minutes, env, lua)['failed']
            seen.append(memory_mb(p.pid))
            print(f' {seen[-1]:.0f}', end='', flush=True)
    finally: end(p)
    print()
    return dict(minutes=args.minutes, mb=seen, failed=failed)

def show_overload(args, tmp):
    "A short queue, and many more connections than it holds"
    env,lua = wrk_files(args, tmp)
    p,url = start_service(args, queue=32)
    def _ask(text): return httpx.post(f'{url}/v1/classify', json=dict(text=text), timeout=30).status_code
    try:
        with ThreadPoolExecutor(1) as pool:
            busy = pool.submit(load, url, 128, args.seconds, env, lua)
            statuses = Counter(_ask(f'probe {i}') for i in range(50))
            o = busy.result()
        start = time.perf_counter()
        while _ask('again')!=200: pass
        well = time.perf_counter()-start
    finally: end(p)
    failed = o['failed']+sum(n for k,n in statuses.items() if k>=500)
    print(f"128 connections, queue of 32: {o['requests']:,} answers, {o['refused']:,} of them refused, "
          f"{failed} failed; "
          f"of 50 probes {dict(statuses)}; well again after {well:.3f} s")
    return dict(o, probes=dict(statuses), well_after=well, failed=failed)

def examples(url):
    "Every route with a body, and its example: (path, body)"
    paths = httpx.get(f'{url}/openapi.json').json()['paths']
    asked = {k:o['post'].get('requestBody', {}) for k,o in paths.items() if 'post' in o}
    bodies = {k:o.get('content', {}).get('application/json') for k,o in asked.items()}
    return [(k,o['example']) for k,o in bodies.items() if o]

def random_body(rng, example):
    "The example with a few changes, now and then in its bytes, and a mark"
    body = deepcopy(example)
    for _ in range(rng.choice([0,1,1,2,5])): change_value(rng, body)
    if rng.random()<.3: body = {**body, rng.choice(['text',MARK]):f'{MARK} {rng.random()}'}
    raw = json.dumps(body).encode()
    return changed_bytes(rng, raw) if rng.random()<.3 else raw

def body_findings(c, args, known):
    "What is wrong with answers to random bodies, and which answers there were"
    seen,found = Counter(),[]
    for i in range(args.bodies):
        rng = random.Random(f'{args.seed} {i}')
        path,example = rng.choice(known)
        body = random_body(rng, example)
        res = c.post(path, content=body, headers={'content-type':'application/json'})
        seen[path,res.status_code] += 1
        try: whole = res.status_code==204 or res.json() is not None
        except ValueError: whole = path=='/batch'
        if res.status_code<500 and whole: continue
        found.append(dict(path=path, body=repr(body), status=res.status_code, answer=res.text[:300]))
    return seen,found

def show_bodies(args, tmp):
    with open(tmp/'log', 'wb') as log:
        more = dict(families=None, log='info', feedback=str(tmp/'corrections.jsonl'), explain_seconds=.2)
        p,url = start_service(args, log, **more)
        try:
            with httpx.Client(base_url=url, timeout=60) as c:
                seen,found = body_findings(c, args, examples(url))
                well = c.post('/v1/classify', json=dict(text='thank you')).status_code==200
        finally: end(p)
    told = (tmp/'log').read_text(errors='replace')
    for o in found[:20]: print(o)
    for k in sorted({k for k,_ in seen}): print(f'{k:36}', {s:n for (o,s),n in sorted(seen.items()) if o==k})
    failed = len(found)+(MARK in told)+(not well)
    print(f'{args.bodies:,} bodies (seed {args.seed}): {len(found)} failures; a text in the log: {MARK in told}; '
          f'well afterwards: {well}')
    answers = {f'{k} {s}':n for (k,s),n in sorted(seen.items())}
    return dict(bodies=args.bodies, seed=args.seed, answers=answers, logged=MARK in told, failed=failed)

parts = dict(load=show_load, memory=show_memory, overload=show_overload, bodies=show_bodies)

if __name__=='__main__': main()
