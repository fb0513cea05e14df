"What tests of the service share: a detector, a real process that serves it, and clients that others wrote, as they are on the package index"
import importlib.util,json,os,re,shutil,subprocess,sys,tempfile
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request,urlopen

import numpy as np,pytest

six = ['toxic','severe_toxic','obscene','threat','insult','identity_attack']

key = 'a-long-secret-of-the-forum'

close = dict(rel=0, abs=1e-5) # fp32 sums in another order in batches of another make

needs_service = pytest.mark.skipif(not all(map(importlib.util.find_spec, ('fastapi','uvicorn'))), reason='the extra `service` is not here')

texts = ['you are an idiot', 'thank you', 'Hi 😀! You fool. Thank you…', 'lol ok', 'x']

def save_six(folder, labels=six):
    "A detector that has learnt nothing: its scores are numbers to compare with; each label flags about half of `texts`"
    from toxicai.all import Detector,ToxicityDataLoaders,toxicity_learner
    from toxicai.test_utils import comments,tiny_checkpoint
    df = comments()
    for i,o in enumerate(labels): df[o] = (np.arange(len(df))+i)%2
    dls = ToxicityDataLoaders.from_df(df, tiny_checkpoint(), text_col='text', label_cols=list(labels), bs=8)
    path = toxicity_learner(dls, seed=42).save_detector(folder)
    middle = np.median(Detector(path, 'torch').scores(texts), 0)
    meta = json.loads((path/'toxicai.json').read_text())
    for o,v in zip(meta['labels']['classes'], middle): o['threshold'] = float(v)
    (path/'toxicai.json').write_text(json.dumps(meta))
    return path

@contextmanager
def service_process(code, *args, **env):
    "Address, process and log of a service that `code` starts, which is told to end after the block"
    log = tempfile.TemporaryFile('w+') # a pipe that nobody reads would be full one day, and the service wait
    p = subprocess.Popen([sys.executable, '-W', 'ignore', '-c', code, *args], stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **env})
    def _said():
        log.seek(0)
        return log.read()
    try:
        first = p.stdout.readline()
        found = re.search(r'at (https?://\S+)', first)
        assert found, f'{first}{_said()}'
        yield found[1],p,_said
    finally:
        p.terminate()
        p.communicate(timeout=60)

@contextmanager
def served(folder, **options):
    "Address of a process that serves `folder`; it is told to end, and has to end well"
    options = dict(dict(backend='torch', port=0), **options)
    code = f'from toxicai.serve.running import run_service; run_service({str(folder)!r}, **{options!r})'
    with service_process(code) as (url,p,said): yield url
    assert p.returncode==0, said()

def ask(url, body=None, headers=None, kind='application/json'):
    "Status, headers and content of an answer; `body` is sent as it is where it is bytes, else as JSON"
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    req = Request(url, data, {**({} if data is None or kind is None else {'Content-Type':kind}), **(headers or {})})
    try: res = urlopen(req)
    except HTTPError as e: res = e
    with res:
        raw = res.read()
        try: content = json.loads(raw)
        except ValueError: content = raw.decode()
        return res.status,{k.lower():v for k,v in res.headers.items()},content

cache = Path(os.environ.get('XDG_CACHE_HOME', Path.home()/'.cache'))/'toxicai-tests'

def client_folder(requirement):
    "A folder with a client from the package index and what it needs, made once; skipped where the index cannot be reached"
    path = cache/re.sub(r'\W+', '-', requirement)
    if not (path/'.whole').exists():
        shutil.rmtree(path, ignore_errors=True)
        res = subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', '--target', path, requirement], capture_output=True, text=True)
        if res.returncode: pytest.skip(f'pip could not install {requirement}: {res.stderr.strip().splitlines()[-1:]}')
        (path/'.whole').touch()
    return path

def run_client(requirement, code, *args):
    "What `code` prints as JSON, in a process that sees the client"
    env = {**os.environ, 'PYTHONPATH':str(client_folder(requirement)), 'NO_PROXY':'*'}
    res = subprocess.run([sys.executable, '-W', 'ignore', '-c', code, *args], capture_output=True, text=True, env=env)
    assert res.returncode==0, res.stderr
    return json.loads(res.stdout)
