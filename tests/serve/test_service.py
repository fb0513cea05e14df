"The service as a process: right answers to each neighbour, faults of clients, disks and workers, and nothing of a text in a log"
import concurrent.futures,json,os,random,re,resource,signal,socket,subprocess,sys,time
from contextlib import contextmanager
from pathlib import Path

import numpy as np,pytest
from hypothesis import HealthCheck,given,settings,strategies as st
from toxicai.all import *
from toxicai.test_utils import *

httpx = pytest.importorskip('httpx')
for o in ('fastapi','uvicorn','httptools','prometheus_client'): pytest.importorskip(o)
from toxicai.serve.client import Client,AsyncClient
from toxicai.serve.batching import BadInput,Judge,Overloaded,TooLarge,WrongKey
from toxicai.serve.service import ServiceConfig,family_rooms,make_app

key = 'a-long-secret-of-the-forum'
json_type = {'content-type':'application/json'}

def can_export():
    try: import onnx,onnxruntime,onnxscript
    except ImportError: return False
    return True

def saved(path, labels=('toxic','insult'), fit=True):
    learn = toxicity_learner(ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols=list(labels), bs=8))
    with learn.no_bar(),learn.no_logging():
        if fit: learn.fit(1, 1e-2)
    return learn.save_detector(path, onnx=can_export())

@pytest.fixture(scope='module')
def folder(tmp_path_factory): return saved(tmp_path_factory.mktemp('service')/'rude')

@pytest.fixture(scope='module')
def d(folder): return Detector(folder, 'torch', long='windows', threads=1)

class Running:
    "A service in a process of its own; its log is kept"
    def __init__(self, folder, tmp, **kw):
        kw = dict(port=0, threads=1, families=['own'], **kw)
        code = f'from toxicai.serve.running import run_service; run_service({str(folder)!r}, **{kw!r})'
        self.log_path = Path(tmp)/f'{random.randrange(10**9)}.log'
        with open(self.log_path, 'wb') as log:
            self.p = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=log, text=True)
        self.first = self.p.stdout.readline()
        assert self.first, self.log
        self.url = self.first.split()[-1]
        self.port = int(self.url.rsplit(':', 1)[1])
    @property
    def log(self): return self.log_path.read_text(errors='replace')
    def post(self, path='/v1/classify', **kw): return httpx.post(self.url+path, timeout=60, **kw)
    def get(self, path): return httpx.get(self.url+path, timeout=60)
    def raw(self, data, seconds=30):
        "What comes back for bytes that are sent as they are"
        with socket.create_connection(('127.0.0.1', self.port), seconds) as s:
            s.settimeout(seconds)
            s.sendall(data)
            return b''.join(iter(lambda: s.recv(65536), b''))
    def end(self):
        if self.p.poll() is None: self.p.send_signal(signal.SIGTERM)
        self.p.stdout.close()
        return self.p.wait(60)

@contextmanager
def service(folder, tmp, **kw):
    o = Running(folder, tmp, **kw)
    try: yield o
    finally: o.end()

@pytest.fixture(scope='module')
def running(folder, tmp_path_factory):
    with service(folder, tmp_path_factory.mktemp('log'), header_seconds=1., body_seconds=1.) as o: yield o

def odd_texts(n, seed=0):
    "Texts that tell which is which"
    rng = random.Random(seed)
    words = 'you are an idiot thank moron the table 😀 مرحبا fool well done crap page'.split()
    return [' '.join(rng.choices(words, k=rng.randrange(1, 40)))+f' {i}' for i in range(n)]

def scores_of(res): return np.array([list(o['scores'].values()) for o in res.json()['results']])

# Answers

def test_neighbours(running, d):
    "Many at once, of one text and of several: each gets its own"
    texts = odd_texts(300)
    parts,i = [],0
    while i<len(texts): parts.append(texts[i:i+1+i%7]); i += 1+i%7
    with httpx.Client(base_url=running.url, timeout=60) as c,concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda o: scores_of(c.post('/v1/classify', json=dict(texts=o))), parts))
    assert np.abs(np.concatenate(found)-d.scores(texts)).max()<1e-5

def test_client_is_a_detector(running, d):
    some = [*odd_texts(150, 1), '', ' ', 'half \ud800 a pair', 'nul \x00', 'word '*3000]
    with Client(running.url) as c:
        for detail in ('flags','scores','all'):
            ours,theirs = c(some, detail),d(some, detail)
            assert (ours.flags==theirs.flags).all() and ours.labels==theirs.labels
            if detail!='flags': assert np.abs(ours.scores-theirs.scores).max()<1e-5
        assert ours.texts==theirs.texts and (ours.n_tokens==theirs.n_tokens).all() and not ours.truncated.any()
        assert [o.flags.tolist() for o in c.iter(iter(some), 40)]==[o.flags.tolist() for o in theirs]

def test_client_tells_decisions(running, d):
    "Decisions and reasons of a policy and of word lists come as the detector gives them, also over several requests"
    some = [*odd_texts(150, 2), 'the idiots of Scunthorpe', 'a table']
    policy = dict(labels={list(d.labels)[0]:dict(review=.2, block=.5)})
    for how in (dict(block=['table']), dict(policy=policy), dict(policy=policy, allow=['idiots'], block=['crap'])):
        theirs = d.with_settings(**how)(some)
        with Client(running.url, **how) as c: ours = c(some)
        assert ours.decisions==theirs.decisions and {'block'}<={*ours.decisions}
        assert [[o['kind'] for o in row] for row in ours.reasons]==[[o['kind'] for o in row] for row in theirs.reasons]
        assert ours[7].decisions==theirs[7].decisions and ours[-1:].reasons==theirs[-1:].reasons
        assert list(ours.to_dict())[-2:]==['decisions','reasons'] and 'block' in repr(ours[-1]) + repr(ours)
        assert list(ours.to_frame().decisions)==theirs.decisions
    with Client(running.url) as c: assert 'decisions' not in c(some).to_dict()

def test_nothing_of_a_text_is_logged(running):
    secret = 'Xyzzyplugh'
    for kw in (dict(json=dict(text=secret)), dict(json={secret:1}), dict(json=dict(text=secret, model=secret)), dict(content=secret),
               dict(content=secret, headers=json_type), dict(json=dict(text=secret, languages=[secret]), headers={'x-request-id':secret+' a'})):
        running.post(**kw)
        running.post(f'/v1/{secret}?key={secret}', **kw)
    running.raw(f'GET /{secret} HTTP/1.1\r\n{secret}\r\n\r\n'.encode())
    running.raw(f'{secret} {secret}\r\n\r\n'.encode())
    assert secret not in running.log
    lines = [json.loads(o) for o in running.log.splitlines()]
    assert {'request'}<={o['event'] for o in lines} and all(set(o)>={'time','level','event'} for o in lines)

def test_figures(running):
    def count(): return float(re.search(r'toxicai_requests_total\{route="/v1/classify",status="200"\} (\S+)', running.get('/metrics').text)[1])
    running.post(json=dict(text='thank you'))
    before = count()
    for o in odd_texts(3, 9): running.post(json=dict(text=o))
    assert count()==before+3
    text = running.get('/metrics').text
    for o in ('toxicai_texts_total','toxicai_tokens_total','toxicai_waiting_texts','toxicai_request_seconds_bucket'): assert o in text

# Faults of clients

bad_bodies = [b'', b'{', b'\xff\xfe', b'null', b'[]', b'"text"', b'{"text": null}', b'{"texts": "a"}', b'{"texts": ["a", 3]}', b'{}', b'['*100_000,
              b'{"text": "a", "texts": ["a"]}', b'{"text": "a", "detail": "most"}', b'{"text": "a", "policy": "../../etc/passwd"}',
              b'{"text": "a", "use": ["b"]}', b'{"text": "a", "block": [3]}', b'{"text": 1e999}', b'{"text": "a", "detail": []}',
              b'{"text": "a", "detail": {}}', b'{"text": "a", "languages": [[]]}', b'{"text": "a", "model": "../x"}']

@pytest.mark.parametrize('body', bad_bodies, ids=range(len(bad_bodies)))
def test_bad_bodies(running, body):
    res = running.post(content=body, headers=json_type)
    assert res.status_code==400 and res.json()['error']['code']=='bad_input' and res.json()['error']['request_id']==res.headers['x-request-id']

def test_words_of_the_library(running):
    "What the library says of a request comes without the quotes and escapes of Python"
    res = running.post('/v1/explain', json=dict(text='you fool', label='toxik'))
    assert res.status_code==400 and res.json()['error']['message'].startswith("no class 'toxik': expected one of ['toxic', 'insult']")
    res = running.post(json=dict(text='you fool', policy=dict(labels=dict(toxik=dict(review=.5)))))
    assert res.status_code==400 and 'toxik' in res.json()['error']['message'] and res.json()['error']['message'][0] not in '\'"'

values = st.recursive(st.none()|st.booleans()|st.floats()|st.integers()|st.text(max_size=20), lambda o: st.lists(o, max_size=3)|st.dictionaries(st.text(max_size=5), o, max_size=3), max_leaves=8)
names = st.sampled_from('text texts languages model detail use policy block allow label labels note'.split())|st.text(max_size=5)

@pytest.mark.parametrize('n', [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_random_bodies(running, n):
    "Whatever the JSON, or none: an answer that is no failure of ours"
    with httpx.Client(base_url=running.url, timeout=60, headers=json_type) as c:
        @settings(max_examples=n, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.binary(max_size=60)|st.dictionaries(names, values, max_size=5).map(lambda o: json.dumps(o).encode()),
               st.sampled_from(['/v1/classify','/v1/explain','/v1/feedback']))
        def _try(body, path):
            res = c.post(path, content=body)
            assert res.status_code<500, (body, res.text)
            res.json()
        _try()
        assert c.post('/v1/classify', json=dict(text='thank you')).status_code==200

def test_too_large(running):
    "A hundred megabytes, declared or not: refused, and the process does not keep them"
    def memory(): return int(re.search(r'VmRSS:\s+(\d+)', Path(f'/proc/{running.p.pid}/status').read_text())[1])
    before,block = memory(),b'x'*2**20
    for content in (block*100, (block for _ in range(100))):
        try: assert running.post(content=content, headers=json_type).status_code==413
        except httpx.WriteError: pass # cut off while it was still sending
    assert memory()-before<50_000 # kB
    assert running.post(json=dict(text='a'*30_000)).status_code==413
    assert running.post(json=dict(texts=['a']*129)).status_code==413

def test_slow_clients(running):
    "One byte a second, in headers or in a body, or nothing at all: cut off, while others are answered"
    head = b'POST /v1/classify HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 50\r\n'
    slow = [socket.create_connection(('127.0.0.1', running.port), 30) for _ in range(3)]
    for s,o in zip(slow, (b'', head, head+b'\r\n{')):
        if o: s.sendall(o)
    assert running.post(json=dict(text='thank you')).status_code==200
    answers = []
    for s in slow:
        try: answers.append(s.recv(65536))
        except ConnectionError: answers.append(b'')
        s.close()
    assert answers[:2]==[b'',b''] and answers[2].startswith(b'HTTP/1.1 408')

def test_two_in_one_piece(running, d):
    "A body that came with its headers is answered, and the clock runs for the one behind it that did not"
    head = 'POST /v1/classify HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n'
    body = json.dumps(dict(text='thank you'))
    first,second = running.raw((head.format(len(body))+body+head.format(len(body))+body[:5]).encode()).split(b'HTTP/1.1 ')[1:]
    assert first.startswith(b'200') and second.startswith(b'408')
    found = json.loads(first.split(b'\r\n\r\n')[1])['results'][0]['scores']
    assert np.abs(np.array(list(found.values()))-d.scores('thank you')[0]).max()<1e-5
    assert running.raw((head.format(len(body))+body+'POST /v1/cl').encode()).count(b'HTTP/1.1 ')==1 # and is cut off

def test_no_clock_for_what_is_there(monkeypatch):
    "A body that came whole is read without a timer, and no larger than it may be"
    import asyncio
    from toxicai.serve.limits import read_body
    async def _receive(): return dict(type='http.request', body=b'12345', more_body=False)
    monkeypatch.setattr(asyncio, 'timeout', None)
    whole = dict(headers=[], toxicai_whole=True)
    assert asyncio.run(read_body(whole, _receive, 5))==b'12345'
    with pytest.raises(TooLarge): asyncio.run(read_body(whole, _receive, 4))
    with pytest.raises(TypeError): asyncio.run(read_body(dict(headers=[]), _receive, 5))

def test_headers_without_end(running):
    with socket.create_connection(('127.0.0.1', running.port), 30) as s:
        with pytest.raises(ConnectionError):
            s.sendall(b'GET / HTTP/1.1\r\n')
            while True: s.sendall(b'x: '+b'y'*8000+b'\r\n')

def test_odd_requests(running):
    "Paths out of the tree, headers in headers, numbers of requests that are none"
    for o in ('/../../etc/passwd','/%2e%2e/%2e%2e/etc/passwd','/docs/../../x','/v1/classify/%0d%0aset-cookie:a','/\udcff'.encode('utf8','replace').decode()):
        assert running.raw(f'GET {o} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'.encode()).startswith((b'HTTP/1.1 404',b'HTTP/1.1 400'))
    res = running.raw(b'GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-request-id: a\tset-cookie: b\r\n\r\n')
    assert b'set-cookie' not in res.lower() and b'200 OK' in res
    assert running.post(content=b'text=a', headers={'content-type':'text/plain'}).status_code==415

# Who may ask

def test_keys(folder, tmp_path):
    (tmp_path/'keys').write_text(f'# who\nforum {key}\nslow {key[::-1]} 0.5\n')
    with service(folder, tmp_path, keys=str(tmp_path/'keys')) as o:
        for kw in ({}, dict(headers={'authorization':'Bearer wrong'}), dict(headers={'authorization':f'Basic {key}'}),
                   dict(params=dict(key=key[:-1])), dict(headers={'x-api-key':'é'.encode()})):
            res = o.post(json=dict(text='a'), **kw)
            assert res.status_code==401 and res.headers['www-authenticate']=='Bearer', kw
        for kw in (dict(headers={'authorization':f'Bearer {key}'}), dict(headers={'x-api-key':key}), dict(params=dict(key=key))):
            assert o.post(json=dict(text='a'), **kw).status_code==200
        assert o.get('/metrics').status_code==401 and o.get('/healthz').status_code==200
        found = [o.post(json=dict(text='a'), headers={'x-api-key':key[::-1]}) for _ in range(4)]
        assert found[-1].status_code==429 and int(found[-1].headers['retry-after'])>=1
        assert key not in o.log and '"key": "forum"' in o.log
        with pytest.raises(WrongKey): Client(o.url, 'wrong')('a')

def test_full_queue(d):
    "More than fits is told to come back, and what was taken is answered"
    import asyncio
    judge = Judge(d, queue=5, cache=0)
    async def _all(): return await asyncio.gather(*[judge.judge(o, 'scores') for o in odd_texts(20)], return_exceptions=True)
    found = asyncio.run(_all())
    assert sum(isinstance(o, Overloaded) for o in found)==15 and all(o.facts['retry_after']>=1 for o in found[5:])
    assert np.abs(np.concatenate([o.scores for o in found[:5]])-d.scores(odd_texts(5))).max()<1e-5
    assert asyncio.run(judge.judge('thank you', 'scores')).flags.shape==(1,2) and judge.n_waiting==0

def test_failing_text(d):
    "A text on which the engine fails is its own request's misfortune"
    import asyncio
    class Fragile:
        def __init__(self): self.folder,self.enc,self.long,self.labels = d.folder,d.enc,d.long,d.labels
        def __call__(self, texts, detail):
            if 'fail' in texts: raise RuntimeError('engine')
            return d(texts, detail)
    judge = Judge(Fragile())
    async def _all(): return await asyncio.gather(*[judge.judge(o, 'scores') for o in ('a','fail','b','a')], return_exceptions=True)
    a,failed,b,again = asyncio.run(_all())
    assert isinstance(failed, RuntimeError) and (a.scores==again.scores).all()
    assert np.abs(np.concatenate([a.scores, b.scores])-d.scores(['a','b'])).max()<1e-5

@pytest.mark.parametrize('crowd,waited', [(1,[]), (2,[]), (3,[.001])])
def test_gathering(d, monkeypatch, crowd, waited):
    "Two who wait are not kept waiting, unless more were under way before; nobody comes, so it is a millisecond"
    import asyncio
    judge,seen,sleep = Judge(d, max_wait=60.),[],asyncio.sleep
    async def _sleep(seconds):
        if seconds: seen.append(seconds)
        await sleep(0)
    async def _gather():
        judge.crowd = crowd
        judge.enter(['a','b'], d, 'scores'), judge.enter(['c'], d, 'scores')
        await judge.gather()
    monkeypatch.setattr(asyncio, 'sleep', _sleep)
    asyncio.run(_gather())
    assert seen==waited

odd_configs = [
    (dict(max_texts=0), "`max_texts` is 0: expected a number above 0"), (dict(max_chars=-1), '`max_chars` is -1'), (dict(max_body=0), '`max_body` is 0'),
    (dict(rate=0.), '`rate` is 0.0: expected a number above 0'), (dict(rate=float('nan')), '`rate` is nan'), (dict(queue=0), '`queue` is 0'),
    (dict(budget=0), '`budget` is 0'), (dict(body_seconds=0), '`body_seconds` is 0'), (dict(max_wait=-.1), '`max_wait` is -0.1: expected a number from 0 on'),
    (dict(cache=-1), '`cache` is -1'), (dict(queue='many'), "`queue` is 'many'"), (dict(log='infos'), "did you mean 'info'"),
    (dict(feedback='/no/such/folder/f.csv'), 'no folder for the corrections'), (dict(tls_cert='no_such.pem', tls_key='no_such.pem'), "there is no file 'no_such.pem'"),
    (dict(tls_key='no_such.pem'), 'has no certificate'), (dict(cors='https://forum.example/'), 'without a path'), (dict(cors=['forum.example']), 'without a path')]

@pytest.mark.parametrize('given,says', odd_configs, ids=lambda o: next(iter(o)) if isinstance(o, dict) else '')
def test_odd_settings_of_a_service(given, says):
    "What lets nobody through is said before anything is opened, not by the first request"
    from toxicai.serve.running import run_service
    with pytest.raises(ValueError, match=re.escape(says)): run_service('no such folder', port=0, **given)

def test_one_origin_is_no_pattern(d):
    "One origin, as the command line gives it, allows that origin and no beginning of it"
    import asyncio
    app = make_app(Judge(d), ServiceConfig(cors='https://forum.example', families='own'))
    async def _allowed(origin):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url='http://a') as c:
            return (await c.get('/healthz', headers=dict(origin=origin))).headers.get('access-control-allow-origin')
    found = [asyncio.run(_allowed(o)) for o in ('https://forum.example','https://forum.ex','https://f','https')]
    assert found==['https://forum.example',None,None,None]

def test_plain_routes(d):
    "A route that is called at once answers as FastAPI does, byte for byte, and OpenAPI lists it"
    import asyncio
    app = make_app(Judge(d), ServiceConfig(cors=['https://forum.example']))
    plain = app.state.front.app.plain
    known = [o for room in family_rooms().values() for o in room.routes(app.state.service).routes]
    assert {('POST',o.path) for o in known if 'POST' in o.methods}<=set(plain), 'a body is read in one way by all routes'
    assert {o for _,o in plain}<={*app.openapi()['paths'], *[o.path for o in known if not o.include_in_schema]}
    bodies = [b'{"text": "thank you"}', b'{"texts": ["a"]}', b'', b'{', b'{"texts": 3}', b'{"input": "a"}', b'{"inputs": "a"}', b'{"comment": {"text": "a"}}']
    async def _answers(method, path, kind):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url='http://a') as c:
            found = [await c.request(method, path, content=o, headers={'content-type':kind, 'x-request-id':'1'}) for o in bodies]
        return [(o.status_code, re.sub(rb'modr-\w+', b'', o.content), sorted((k,v) for k,v in o.headers.items() if k!='x-compute-time' and not k.startswith('x-'))) for o in found]
    for path in {o for _,o in plain}:
        for method,kind in (('POST','application/json'), ('POST','text/plain'), ('PUT','application/json')):
            app.state.front.app.plain = plain
            ours = asyncio.run(_answers(method, path, kind))
            app.state.front.app.plain = {}
            assert ours==asyncio.run(_answers(method, path, kind)), path

def test_bodies_are_read_once(d, monkeypatch):
    "What the guard has read is not put together again by any route, nor mistaken for the body of a call in a batch"
    import asyncio
    from starlette.requests import Request
    async def _again(self):
        yield pytest.fail('read again')
    monkeypatch.setattr(Request, 'stream', _again)
    app = make_app(Judge(d), ServiceConfig())
    analyze = dict(comment=dict(text='you fool'), requestedAttributes=dict(TOXICITY={}))
    call = 'Content-Type: application/http\r\nContent-ID: <{0}>\r\n\r\nPOST /v1alpha1/comments:analyze HTTP/1.1\r\n\r\n{1}\r\n'
    calls = ''.join('--b\r\n'+call.format(i, json.dumps(dict(analyze, clientToken=f'call {i}'))) for i in range(3))+'--b--'
    tensors = [dict(name='text', data=['you fool']), dict(name='threshold', data=[.5])]
    bodies = {'/v1/classify':dict(text='you fool'), '/v1/explain':dict(text='you fool'), '/v1/moderations':dict(input='you fool'), '/predict':dict(inputs='you fool'),
              '/api/v1/classify':dict(content='you fool'), '/validate':dict(inputs=tensors), '/v1/coral':dict(comment=dict(body='you fool')), '/page/judge':dict(texts=['you fool']),
              '/v1alpha1/comments:analyze':analyze, '/v1alpha1/comments:suggestscore':dict(comment=dict(text='you fool'), attributeScores=dict(TOXICITY=dict(summaryScore=dict(value=1))))}
    async def _ask(path, content, kind):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url='http://a') as c: return await c.post(path, content=content, headers={'content-type':kind})
    def ask(*args): return asyncio.run(_ask(*args))
    for path,o in bodies.items(): assert ask(path, json.dumps(o).encode(), 'application/json').status_code in (200,204), path
    assert ask('/page/file?name=a.csv', b'text\nyou fool\n', 'application/octet-stream').text.startswith('\ufefftext,')
    assert re.findall('call [0-9]', ask('/batch', calls.encode(), 'multipart/mixed; boundary=b').text)==['call 0','call 1','call 2']

def test_failing_routes(d, monkeypatch):
    "What nobody expected is said in our shape and without its words, whether FastAPI calls the route or we do"
    import asyncio,importlib.machinery,types
    from fastapi import APIRouter,Request,Response
    from toxicai.serve.service import route_families
    def _routes(service):
        router = APIRouter()
        @router.get('/ours')
        async def ours(request:Request) -> Response: raise RuntimeError('a secret')
        @router.get('/theirs/{n}')
        async def theirs(n:int): raise RuntimeError('a secret')
        return router
    room = types.ModuleType('failing_routes')
    room.__spec__,room.routes = importlib.machinery.ModuleSpec('failing_routes', None),_routes
    monkeypatch.setitem(sys.modules, 'failing_routes', room)
    monkeypatch.setitem(route_families, 'failing', 'failing_routes')
    app = make_app(Judge(d), ServiceConfig(families=['failing']))
    async def _ask(path):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url='http://a') as c: return await c.get(path)
    for path,status,code in (('/ours',500,'internal'), ('/theirs/3',500,'internal'), ('/theirs/x',400,'bad_input'), ('/none',404,'not_found')):
        res = asyncio.run(_ask(path))
        assert res.status_code==status and res.json()['error']['code']==code and 'secret' not in res.text
        assert res.json()['error']['request_id']==res.headers['x-request-id']

# Corrections

def test_feedback(folder, tmp_path):
    "Lines that `load_comments` reads, from many at once; a full disk is told, and leaves whole lines"
    path = tmp_path/'corrections.jsonl'
    with service(folder, tmp_path, feedback=str(path)) as o,concurrent.futures.ThreadPoolExecutor(8) as pool:
        rows = [dict(text=f'{t}\n"', labels=dict(toxic=i%2)) for i,t in enumerate(odd_texts(40))]
        assert {r.status_code for r in pool.map(lambda row: o.post('/v1/feedback', json=row), rows)}=={201}
        assert o.post('/v1/feedback', json=dict(text='a', labels=dict(rude=1))).status_code==400
    found = load_comments(path, text_col='text', label_cols=['toxic'])
    assert sorted(found.data['text'])==sorted(o['text'] for o in rows) and sum(found.data['toxic'])==20
    with service(folder, tmp_path, feedback='/dev/full') as o:
        assert o.post('/v1/feedback', json=dict(text='a', labels=dict(toxic=1))).status_code==507
        assert o.post(json=dict(text='a')).status_code==200

# The process

@pytest.mark.parametrize('workers', [1, pytest.param(2, marks=pytest.mark.slow)])
def test_end_under_load(folder, tmp_path, workers):
    "SIGTERM: whoever was heard gets a whole answer, and the exit is 0"
    o = Running(folder, tmp_path, workers=workers)
    statuses,stop = [],False
    def _ask(i):
        with httpx.Client(base_url=o.url, timeout=60) as c:
            while not stop:
                try: statuses.append(c.post('/v1/classify', json=dict(text=f'{i} {len(statuses)}')).status_code)
                except httpx.TransportError: return
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for i in range(8): pool.submit(_ask, i)
        while len(statuses)<50: time.sleep(.05)
        code = o.end()
        stop = True
    assert code==0 and set(statuses)=={200}

def test_another_model(folder, tmp_path):
    "SIGHUP takes what the folder holds then; a bad one leaves the old at work"
    import shutil
    place = tmp_path/'at work'
    shutil.copytree(folder, place)
    with service(place, tmp_path, log='warning') as o:
        def scores(): return scores_of(o.post(json=dict(text='you are an idiot')))
        def hup(event):
            n = o.log.count(event)
            o.p.send_signal(signal.SIGHUP)
            for _ in range(600):
                if o.log.count(event)>n: return
                time.sleep(.1)
            raise AssertionError(o.log)
        before = scores()
        (place/'toxicai.json').rename(tmp_path/'kept')
        hup('the old model stays')
        assert (scores()==before).all()
        shutil.rmtree(place)
        saved(place, fit=False)
        hup('another model')
        assert np.abs(scores()-Detector(place, 'torch').scores('you are an idiot')).max()<1e-5 and (scores()!=before).any()

@pytest.mark.slow
def test_killed_worker(folder, tmp_path):
    "A worker that dies is replaced; figures of both are added up"
    with service(folder, tmp_path, workers=2) as o:
        pids = [int(p) for p in Path(f'/proc/{o.p.pid}/task/{o.p.pid}/children').read_text().split()]
        os.kill(pids[0], signal.SIGKILL)
        for _ in range(600):
            now = Path(f'/proc/{o.p.pid}/task/{o.p.pid}/children').read_text().split()
            if len(now)==2 and str(pids[0]) not in now and o.log.count('Application startup complete')>=3: break
            time.sleep(.1)
        assert len(now)==2 and str(pids[0]) not in now
        with Client(o.url) as c: assert len(c(odd_texts(50)))==50
        assert 'toxicai_texts_total' in o.get('/metrics').text

def test_safe_start(folder, tmp_path):
    "What must not start says why"
    from toxicai.serve.running import run_service
    with pytest.raises(ValueError, match='no key is asked for'): run_service(folder, host='0.0.0.0')
    with pytest.raises(OSError): run_service(folder, host='0.0.0.0', keys=tmp_path/'none')
    with pytest.raises(ValueError, match='workers'): run_service(folder, workers=0)
    with socket.create_server(('127.0.0.1', 0)) as s,pytest.raises(OSError, match='--port'): run_service(folder, port=s.getsockname()[1])
    with pytest.raises((ValueError,OSError)): run_service(tmp_path/'none', port=0)

def test_cors(d):
    import asyncio
    async def ask(origin, origins):
        app = make_app(Judge(d), ServiceConfig(cors=origins, families=['own']))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url='http://a') as c:
            return (await c.get('/healthz', headers=dict(origin=origin))).headers.get('access-control-allow-origin')
    forum = 'https://forum.example'
    assert asyncio.run(ask(forum, [forum]))==forum and asyncio.run(ask('https://other.example', [forum])) is None and asyncio.run(ask(forum, [])) is None

# Several detectors

class Marked:
    "A detector whose scores are all one number, for telling which was asked"
    def __init__(self, d, score, labels=None): self.folder,self.enc,self.long,self.backend,self.score,self.labels = d.folder,d.enc,d.long,'marked',score,labels or d.labels
    def __call__(self, texts, detail): return Detections(self.labels, np.zeros((len(texts), 2), dtype=bool), np.full((len(texts), 2), self.score))
    def about(self): return dict(name='marked', version='', hash='', languages=[], settings='')

def test_languages(d):
    "By the name of a model, by languages as told, by the language of each text, else the default; rows keep their order"
    import asyncio
    judges = {'*':Judge(Marked(d, .1)), 'en':Judge(Marked(d, .2)), 'de':Judge(Marked(d, .3))}
    service = make_app(judges, ServiceConfig(families=[])).state.service
    english,german = 'could you please add a source to this article','könntest du bitte eine Quelle zu diesem Artikel angeben'
    def ask(texts, **kw): return asyncio.run(service.judge(texts, 'scores', **kw)).scores[:,0].tolist()
    assert ask([german, 'ok', english, german, english])==[.3,.1,.2,.3,.2]
    assert ask([german, english], languages=['fr','en'])==[.2,.2] and ask([german, english], languages=['fr'])==[.1,.1]
    assert [service.pick_name(o) for o in (['de-AT'], ['DE_ch'], ['en-GB','de'], ['deu'], ['-'], [''], ['fr-en'])]==['de','de','en','*','*','*','*']
    assert ask([german, english], model='de')==[.3,.3] and ask([])==[]
    with pytest.raises(BadInput, match='no model'): ask('a', model='../en')
    judges['de'].swap(Marked(d, .3, LabelSet(['rude','kind'])))
    with pytest.raises(BadInput, match='different labels'): ask([german, english])

def test_models_of_one_name(d):
    "Two detectors that are called alike are told apart by their languages; one detector for two languages is one model"
    class Named(Marked):
        def __init__(self, d, score, hash): super().__init__(d, score); self.hash = hash
        def about(self): return {**super().about(), 'name':'forum', 'hash':self.hash}
    def pick(*hashes):
        judges = {k:Judge(Named(d, .1, o)) for k,o in zip(('*','en','de'), hashes)}
        return make_app(judges, ServiceConfig(families=[])).state.service.pick_name(model='forum')
    assert pick('a')=='*' and pick('a', 'a', 'a')=='*'
    with pytest.raises(BadInput, match=r"several models are called 'forum': expected one of \['\*', 'en', 'de'\]"): pick('a', 'b', 'b')

def test_sentences_of_another_language(d):
    "Perspective: a comment and its sentences are judged by one detector, also where that of a sentence's language has other labels"
    import asyncio
    judges = {'*':Judge(Marked(d, .1)), 'en':Judge(Marked(d, .2)), 'de':Judge(Marked(d, .3, LabelSet(['rude','kind'])))}
    app = make_app(judges, ServiceConfig(families=['perspective']))
    english,german = 'Could you please add a source to this article, as you were asked before.','Könntest du bitte eine Quelle zu diesem Artikel angeben.'
    async def _ask(**kw):
        asked = dict(comment=dict(text=f'{english} {english} {german}'), requestedAttributes=dict(TOXICITY={}), spanAnnotations=True, **kw)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url='http://a') as c: return await c.post('/v1alpha1/comments:analyze', json=asked)
    for kw,score in (({}, .2), (dict(languages=['en']), .2), (dict(languages=['fr','en-GB']), .2)):
        res = asyncio.run(_ask(**kw)).json()
        assert [o['score']['value'] for o in res['attributeScores']['TOXICITY']['spanScores']]==[score]*3 and res['detectedLanguages']==['en']

def test_swap_between(d):
    "Who asked before the exchange is answered by the old model, who asks after it by the new; nothing of the cache survives"
    import asyncio
    judge = Judge(Marked(d, .1))
    async def _both():
        first = asyncio.ensure_future(judge.judge('a', 'scores'))
        await asyncio.sleep(0)
        judge.swap(Marked(d, .2))
        return [o.scores[0,0] for o in (await first, await judge.judge('a', 'scores'), await judge.judge('a', 'scores'))]
    assert asyncio.run(_both())==[.1,.2,.2]

# The client

def test_tries_again(d):
    "429 and 503 are tried again after what they say, 400 is not; the last error is raised"
    info = dict(detectors={'*':dict(name='a', version='', hash='', settings='', labels=d.labels.to_dict())}, default='*', limits=dict(max_texts=2))
    row = dict(flags=dict(toxic=True, insult=False), scores=dict(toxic=.9, insult=.1))
    for statuses,fails in (([429,503], None), ([429]*9, Overloaded), ([400], BadInput), ([401], WrongKey), ([413], TooLarge)):
        todo,seen = list(statuses),[]
        def _answer(request):
            if request.url.path=='/info': return httpx.Response(200, json=info)
            seen.append(json.loads(request.content))
            if todo: return httpx.Response(todo.pop(0), json=dict(error=dict(message='no')), headers={'retry-after':'0'})
            return httpx.Response(200, json=dict(results=[row]*len(seen[-1]['texts'])))
        c = Client('http://a', tries=3)
        c.http = httpx.Client(transport=httpx.MockTransport(_answer), base_url='http://a')
        if fails:
            with pytest.raises(fails): c(['a','b','c'])
            assert len(seen)==(3 if fails is Overloaded else 1)
        else: assert c(['a','b','c']).flags.tolist()==[[True,False]]*3 and [len(o['texts']) for o in seen]==[2,2,2,1]

@pytest.mark.slow
def test_tls(folder, tmp_path):
    import shutil,ssl
    if not shutil.which('openssl'): pytest.skip('no openssl')
    cert,secret = tmp_path/'cert.pem',tmp_path/'key.pem'
    subprocess.run(['openssl','req','-x509','-newkey','rsa:2048','-nodes','-subj','/CN=localhost','-addext','subjectAltName=IP:127.0.0.1',
                    '-days','2','-keyout',str(secret),'-out',str(cert)], check=True, capture_output=True)
    with service(folder, tmp_path, tls_cert=str(cert), tls_key=str(secret)) as o:
        assert o.url.startswith('https://')
        assert httpx.get(o.url+'/readyz', verify=ssl.create_default_context(cafile=str(cert))).status_code==200
