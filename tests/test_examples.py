"The example workers against stubs of the sites that they moderate; the service that they ask is a real process"
import asyncio,hmac,importlib,json,os,subprocess,sys,threading
from http.server import BaseHTTPRequestHandler,ThreadingHTTPServer
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.parse import parse_qs
from urllib.request import Request,urlopen

import pytest
from toxicai.all import *
from toxicai.test_utils import *
from served import counting_service,root

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    learn = toxicity_learner(ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols=['toxic','insult'], bs=8))
    return learn.save_detector(tmp_path_factory.mktemp('workers')/'rude')

@pytest.fixture(scope='module')
def url(folder):
    pytest.importorskip('uvicorn', reason='the extra `service` is not installed')
    with counting_service(folder) as (url,_): yield url

@pytest.fixture
def load(monkeypatch, url):
    "An example as a module, which asks the service"
    monkeypatch.syspath_prepend(str(root/'examples'))
    monkeypatch.setenv('TOXICAI_URL', url)
    yield importlib.import_module
    for o in ('ask','discord_bot','mastodon_worker','reddit_worker'): sys.modules.pop(o, None)

@pytest.fixture
def site():
    "A site that notes what it is sent: `answers[path]` is what it says"
    seen,answers = [],{}
    class Site(BaseHTTPRequestHandler):
        def log_message(self, *args): pass
        def answer(self):
            body = self.rfile.read(int(self.headers.get('Content-Length') or 0)).decode()
            seen.append((self.path.split('?')[0], dict(self.headers), body))
            status,said = answers.get(self.path.split('?')[0], (200,{}))
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header('Content-Length', len(data))
            self.end_headers()
            self.wfile.write(data)
        do_GET = do_POST = answer
    server = ThreadingHTTPServer(('127.0.0.1',0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f'http://127.0.0.1:{server.server_port}', seen=seen, answers=answers)
    server.shutdown()
    server.server_close()

def test_ask(load):
    "Labels that reach their threshold, with their probability; nothing for what is fine"
    ask = load('ask')
    rude,fine = ask.flagged(['you idiot','thank you'])
    assert set(rude)=={'toxic','insult'} and rude['insult']>.9 and fine=={}
    assert ask.in_words({'toxic':.61,'insult':.934})=='insult 0.93, toxic 0.61'

def test_ask_again(load, site, monkeypatch):
    "A server that is busy is asked again, then its error is raised; a refusal is raised at once"
    ask = load('ask')
    monkeypatch.setattr(ask.time, 'sleep', lambda s: site.answers.update({'/b':(200,{'ok':1})}) if s==1 else None)
    site.answers['/b'] = 429,{}
    assert ask.post(f'{site.url}/b', {})=={'ok':1} and len(site.seen)==2
    site.answers['/c'] = 401,{}
    with pytest.raises(HTTPError): ask.post(f'{site.url}/c', {})
    assert len(site.seen)==3

# Discord

class Message:
    jump_url = 'https://discord.com/channels/1/2/3'
    def __init__(self, content, bot=False): self.content,self.author,self.gone = content,SimpleNamespace(bot=bot, id=7),False
    async def delete(self): self.gone = True

class Channel:
    def __init__(self): self.said = []
    async def send(self, text): self.said.append(text)

def moderated(bot, content, by_bot=False):
    message,mods = Message(content, by_bot),Channel()
    asyncio.run(bot.moderate(message, mods))
    return message,mods.said

def test_discord(load, monkeypatch):
    "Flagged messages are shown; nothing is deleted unless that was asked for; bots and fine messages are left alone"
    bot = load('discord_bot')
    message,said = moderated(bot, 'you idiot')
    assert len(said)==1 and 'insult 0.9' in said[0] and message.jump_url in said[0] and 'idiot' not in said[0] and not message.gone
    assert [moderated(bot, *o)[1] for o in (['thank you'], ['  '])]==[[],[]] and moderated(bot, 'you idiot', by_bot=True)[1]==[]
    monkeypatch.setattr(bot, 'delete_from', .9)
    message,said = moderated(bot, 'you idiot')
    assert message.gone and said[0].startswith('Deleted')

def test_discord_wiring(load, monkeypatch):
    "Messages and edits of a client reach the moderators' channel"
    bot,mods,events = load('discord_bot'),Channel(),{}
    class Client:
        def __init__(self, intents): assert intents.message_content
        def event(self, f): events[f.__name__] = f; return f
        def get_channel(self, i): return mods if i==42 else None
        def run(self, token): assert token=='secret'
    intents = SimpleNamespace(default=lambda: SimpleNamespace(message_content=False))
    monkeypatch.setitem(sys.modules, 'discord', SimpleNamespace(Client=Client, Intents=intents))
    monkeypatch.setenv('DISCORD_TOKEN', 'secret')
    monkeypatch.setenv('MOD_CHANNEL', '42')
    bot.main()
    asyncio.run(events['on_message'](Message('you moron')))
    asyncio.run(events['on_message_edit'](Message('hello'), Message('you idiot')))
    asyncio.run(events['on_message_edit'](Message('you idiot'), Message('you idiot')))
    assert len(mods.said)==2

# Mastodon

@pytest.fixture
def hook(load, site, monkeypatch):
    "The worker at its address, and a way to send it events"
    worker = load('mastodon_worker')
    for k,v in dict(MASTODON_URL=site.url, MASTODON_TOKEN='token', MASTODON_SECRET='hush').items(): monkeypatch.setenv(k, v)
    monkeypatch.setattr(worker.Hook, 'log_message', lambda *args: None)
    server = ThreadingHTTPServer(('127.0.0.1',0), worker.Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    def _send(event, secret='hush'):
        body = json.dumps(event).encode()
        sign = 'sha256='+hmac.new(secret.encode(), body, 'sha256').hexdigest()
        with urlopen(Request(f'http://127.0.0.1:{server.server_port}/', body, {'X-Hub-Signature':sign})) as res: return res.status
    yield _send
    server.shutdown()
    server.server_close()

def post_of(content, **kw): return {'event':'status.created', 'object':{'id':'11', 'account':{'id':'22'}, 'content':content, **kw}}

def test_mastodon(hook, site):
    "A flagged post is reported once, with its account, and without its words"
    assert hook(post_of('<p>you <span>idiot</span></p>'))==204
    (path,headers,body), = site.seen
    assert path=='/api/v1/reports' and headers['Authorization']=='Bearer token'
    assert json.loads(body)|{'comment':''}==dict(account_id='22', status_ids=['11'], comment='', category='other') and 'insult 0.9' in body and 'idiot' not in body

def test_mastodon_leaves(hook, site):
    "Fine posts, empty ones and other events are left alone; a warning above a post is read too"
    for o in (post_of('<p>thank you</p>'), post_of(''), {**post_of('idiot'), 'event':'report.created'}): assert hook(o)==204
    assert site.seen==[]
    hook(post_of('<p>hello</p>', spoiler_text='you moron'))
    assert len(site.seen)==1

def test_mastodon_signature(hook, site):
    "What the instance did not sign is refused"
    with pytest.raises(HTTPError, match='403'): hook(post_of('idiot'), secret='guessed')
    assert site.seen==[]

def test_mastodon_plain(load):
    plain = load('mastodon_worker').plain
    assert plain('<p>a &lt;b&gt;<br/>c</p><p>d</p>')=='a <b>\nc\nd'

# Reddit

def test_reddit(site, url):
    "The worker as a process: it logs in, reads the comments once, reports the flagged one"
    listing = [{'data':{'name':f't1_{i}', 'body':o}} for i,o in enumerate(['thank you','you idiot'])]
    site.answers.update({'/api/v1/access_token':(200,{'access_token':'abc'}), '/r/test/comments':(200,{'data':{'children':listing}})})
    env = dict(os.environ, REDDIT_LOGIN=site.url, REDDIT_API=site.url, REDDIT_ID='i', REDDIT_SECRET='s', REDDIT_USER='u', REDDIT_PASSWORD='p',
               ROUNDS='2', WAIT='0', TOXICAI_URL=url)
    subprocess.run([sys.executable, root/'examples/reddit_worker.py', 'test'], env=env, check=True, timeout=60)
    paths = [o[0] for o in site.seen]
    assert paths==['/api/v1/access_token','/r/test/comments','/api/report','/r/test/comments']
    _,headers,body = site.seen[2]
    assert headers['Authorization']=='bearer abc' and parse_qs(body)['thing_id']==['t1_1'] and 'insult' in body and 'idiot' not in body
