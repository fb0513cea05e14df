"The page in a real browser against a real service: clicks, keys, files, markup that must not run, accessibility; formats of files"
import ast,json,re,shutil,subprocess,sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import Request,urlopen

import numpy as np,pandas as pd,pytest
from toxicai.all import *
from toxicai.labels import LabelSet
from toxicai.test_utils import *
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from served import counting_service

pytest.importorskip('fastapi', reason='the extra `service` is not installed')
from toxicai.serve.page import (FileError,answer_head,csv_line,sent_rows,flagged_names,page_facts,page_file,page_files,page_row,
                                text_column,sent_texts,threshold_sets,shown_uses)

# What files may be

@pytest.mark.parametrize('data,name,want', [
    (b'text\nhi\n', 'a.csv', [{'text':'hi'}]), (b'text\r\n"a\r\nb, ""c"""\r\n', 'A.CSV', [{'text':'a\r\nb, "c"'}]),
    ('\ufefftext\né'.encode(), 'a.csv', [{'text':'é'}]), ('text\té\nü\tö'.encode('utf-16'), 'a.tsv', [{'text':'ü','é':'ö'}]),
    (b'id;text\n1;a,b\n', 'a.csv', [{'id':'1','text':'a,b'}]), (b'\n\nn,text\n\n1,hi\n\n', 'a.csv', [{'n':'1','text':'hi'}]),
    (b'one\r\n\r\ntwo', 'a.txt', [{'text':'one'},{'text':'two'}]), ('a\x85b\u2028c\n'.encode(), 'a.txt', [{'text':'a\x85b\u2028c'}]),
    (b'{"text":"a","n":1}\n{"text":"b"}\n', 'a.jsonl', [{'text':'a','n':1},{'text':'b'}]), (b'[{"text":"a"},\n{"text":"b"}]', 'a.json', [{'text':'a'},{'text':'b'}]),
    (b'text\nhi', 'noending', [{'text':'hi'}]), (b'text\nhi', '', [{'text':'hi'}]), (b'text\nhi', '../../x.csv', [{'text':'hi'}])])
def test_file_rows(data, name, want): assert sent_rows(data, name)==want

@pytest.mark.parametrize('data,name,said', [
    (b'', 'a.csv', 'is empty'), (b'', 'a.txt', 'no rows'), (b'text\n', 'a.csv', 'no rows'), (b'a,b\n1\n', 'a.csv', 'row 0 has 1'),
    (b'a,a\n1,2\n', 'a.csv', 'is there more than once'), (b'text\n\xe9', 'a.csv', 'line 2: byte 0xe9'), (b'\xff\xfea', 'a.csv', 'utf-16'),
    (b'{', 'a.jsonl', 'line 1 is not JSON'), (b'['*99999, 'a.jsonl', 'nested too deeply'), (b'"a"\n', 'a.ndjson', 'holds a str'),
    (b'text\n"x\ny', 'a.csv', 'never closed'), (b'{"text":null}\n', 'a.jsonl', 'row 0 has None'), (b'{"text":"a"}\n{"text":3}\n', 'a.jsonl', 'row 1 has 3'),
    (b'a,b\n1,2\n', 'a.csv', 'which column'), (b'text,Comment\n1,2\n', 'a.csv', 'which column'),
    (b'\x1f\x8b'+bytes(99), 'a.csv.gz', 'is packed (gzip)'), (b'PK\x03\x04', 'a.xlsx', 'is packed (zip)'), (b'PAR1', 'a.parquet', 'Parquet')])
def test_bad_files(data, name, said):
    with pytest.raises(FileError, match=re.escape(said)):
        rows = sent_rows(data, name)
        sent_texts(rows, text_column(rows))

def test_csv():
    "What pandas reads back is what was there"
    import io
    cells = ['a,b','"c"\nd','',3,True,None,{'x':[1]}]
    back = pd.read_csv(io.StringIO(csv_line('abcdefg')+csv_line(cells)), keep_default_na=False).iloc[0]
    assert back.tolist()==['a,b','"c"\nd','',3,1,'','{"x": [1]}']
    assert answer_head(['toxic','toxic_score_flag'], LabelSet(['toxic']))=='toxic,toxic_score_flag,toxic_score_score,toxic_score_score_flag\n'

# What the page is told

@pytest.mark.parametrize('found,told', [('de', {'language':'de','notes':['The text is in a language that the detector was not trained on (de; it knows en): its scores say little']}),
    ('en', {'language':'en'}), ('und', {})])
def test_language_is_told(found, told):
    "The page says where scores mean little, and says nothing where the language cannot be told"
    one = Detections(LabelSet(['toxic']), np.array([[True]]), np.array([[.7]]), texts=['x'], n_tokens=np.array([3]), truncated=np.array([False]),
                     languages=[found], detector=dict(languages=['en']))
    row = page_row(one, {})
    assert {k:row[k] for k in ('language','notes') if k in row}==told

def stand_in(uses={}, **kw):
    labels = LabelSet(['toxic','insult'], **kw)
    return SimpleNamespace(labels=labels, backend='onnx', folder=SimpleNamespace(uses=uses, path=Path('/a/rude')))

def test_threshold_sets():
    "The folder's sets and, where they are none of these, the thresholds at work"
    uses = {k:{o:dict(threshold=t, precision=.5) for o in ('toxic','insult')} for k,t in (('balanced',.5), ('cautious',.9))}
    d = stand_in(uses)
    assert list(threshold_sets(d))==['balanced','cautious'] and [o['running'] for o in shown_uses(d)]==[True,False]
    d.labels = d.labels.with_thresholds(.7)
    assert list(threshold_sets(d))==['as set','balanced','cautious'] and shown_uses(d)[0]['thresholds']=={'toxic':.7,'insult':.7}
    assert flagged_names(threshold_sets(d)['cautious'], [.95,.8])==['toxic']

def test_harmless_class():
    "A class that never counts is shown and never flagged"
    labels = LabelSet(['not_toxic','insult'], kind='single', clean='not_toxic')
    assert flagged_names(labels, [.9,.1])==[] and flagged_names(labels, [.1,.9])==['insult']

# A service, and a browser that looks at it

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    learn = toxicity_learner(ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols=['toxic','insult'], bs=8))
    return learn.save_detector(tmp_path_factory.mktemp('page')/'rude')

@pytest.fixture(scope='module')
def url(folder):
    with counting_service(folder) as (url,_): yield url

def asked(url, body=None, headers={}, **kw):
    "Status, headers and body of an answer"
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    given = {'Content-Type':'application/json', **headers} if body is not None else headers
    try:
        with urlopen(Request(url, data, given, **kw)) as res: return res.status,res.headers,res.read()
    except HTTPError as e: return e.code,e.headers,e.read()

@pytest.mark.parametrize('path', page_files)
def test_what_is_sent(url, path):
    "As it is in the package, with the policy; again only when it has changed"
    status,headers,body = asked(url+path)
    assert status==200 and body==page_file(page_files[path][0]) and headers['Content-Type']==page_files[path][1]
    assert "default-src 'none'" in headers['Content-Security-Policy'] and 'unsafe' not in headers['Content-Security-Policy']
    assert headers['X-Content-Type-Options']=='nosniff' and headers['Referrer-Policy']=='no-referrer'
    assert asked(url+path, headers={'If-None-Match':headers['ETag']})[0]==304 and asked(url+path, method='HEAD')[2]==b''

@pytest.mark.parametrize('name', [o for o,_ in page_files.values()])
def test_nothing_from_elsewhere(name):
    "No file names another host, has a script or style within, or makes markup of strings"
    text = page_file(name).decode().replace('http://www.w3.org/2000/svg', '').replace('http://127.0.0.1:8000', '')
    assert not re.search(r'https?://|//cdn|@import|url\(|<script(?! type="module" src=)|\sstyle=|\son\w+=|<style', text)
    assert not re.search(r'innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|localStorage|sessionStorage|\.cookie', text)

def test_no_way_out(url):
    "Only the files of the page are sent"
    for o in ('/page/../all.py', '/page/%2e%2e/all.py', '/page/index.html', '/page/', '/page/page.css%00'): assert asked(url+o)[0]==404

@pytest.mark.parametrize('kind', ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data'])
def test_pages_of_others(url, kind):
    "What a page of a stranger can send without asking is refused"
    for path,body in (('judge', {'texts':['a']}), ('explain', {'text':'a'}), ('file', b'text\na')):
        assert asked(f'{url}/page/{path}', body, {'Content-Type':kind})[0]==415

def test_answers(url):
    "The page is told what `/v1/classify` says"
    row, = json.loads(asked(f'{url}/page/judge', {'texts':['you 1d1ot idiot']})[2])['rows']
    same, = json.loads(asked(f'{url}/v1/classify', {'texts':['you 1d1ot idiot'], 'detail':'all'})[2])['results']
    assert row['flags']==same['flags'] and row['scores']==pytest.approx(same['scores'], abs=1e-6) and row['read']==same['normalised']
    assert row['uses']=={'as set':['toxic','insult']} and not row['truncated']
    e = json.loads(asked(f'{url}/page/explain', {'text':'you idiot', 'label':'toxic'})[2])
    assert [(o['start'],o['end'],o['weight']) for o in e['words']]==[(0,3,0),(4,9,5)] and e['spans']==[{'start':4,'end':9}]

def test_file_answer(url):
    "All rows, in their order, with what the service says of each"
    lines = ['id,text',*(f'{i},"you {"idiot" if i%3 else "friend"}, {i}"' for i in range(100))]
    octets = {'Content-Type':'application/octet-stream'}
    status,headers,body = asked(f'{url}/page/file?name=a.csv', '\n'.join(lines).encode(), octets)
    import io
    df = pd.read_csv(io.BytesIO(body), encoding='utf-8-sig')
    assert status==200 and headers['X-Rows']=='100' and df.id.tolist()==list(range(100)) and df.toxic_flag.tolist()==[int(i%3>0) for i in range(100)]
    status,_,body = asked(f'{url}/page/file?name=a.csv', b'a,b\n1,2\n', octets)
    assert status==400 and json.loads(body)['columns']==['a','b'] and 'which column' in json.loads(body)['error']['message']
    assert asked(f'{url}/page/file?name=a.csv&column=b', b'a,b\n1,2\n', octets)[2].decode('utf-8-sig').startswith('a,b,toxic,toxic_flag')

chromium = next(filter(None, map(shutil.which, ('chromium','chromium-browser','google-chrome'))), None)

@pytest.fixture(scope='module')
def browser():
    api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    if not chromium: pytest.skip('there is no Chromium')
    with api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        yield browser
        browser.close()

def until(page, said, arg=None):
    "Wait until a function of JavaScript says so; Playwright's own waiting needs an `eval`, which the policy forbids"
    for _ in range(150):
        if page.evaluate(said, arg): return
        page.wait_for_timeout(100)
    raise AssertionError(f'never: {said}')

@contextmanager
def seen(browser, url, expected=(), **context):
    "A page; what the console, requests or a dialog complain of is an error, and so is another host"
    with browser.new_context(accept_downloads=True, **context) as ctx:
        page,wrong = ctx.new_page(),[]
        page.set_default_timeout(15_000)
        page.on('console', lambda o: o.type in ('error','warning') and wrong.append(o.text))
        page.on('pageerror', lambda o: wrong.append(str(o)))
        page.on('dialog', lambda o: (wrong.append(f'dialog {o.message}'), o.dismiss()))
        page.on('request', lambda o: o.url.startswith((url,'blob:')) or wrong.append(f'asked {o.url}'))
        page.goto(url)
        until(page, "() => document.querySelector('#about').textContent")
        yield page
        left = [o for o in wrong if not any(e in o for e in expected)]
        assert left==[], left

def typed(page, text, verdict=None):
    "Type `text`, and wait for what is said of it"
    page.fill('#comment', text)
    until(page, "s => document.querySelector('#status').textContent.startsWith(s)", verdict or 'Flagged')
    until(page, "() => !document.querySelector('#words-card').classList.contains('waits')")

def test_a_comment(browser, url):
    "Labels with probability and threshold, words shaded and said, what was read, what the thresholds do"
    with seen(browser, url) as page:
        assert page.is_visible('#empty') and not page.is_visible('#one')
        typed(page, 'Well, 😀 you IDIOT')
        assert page.inner_text('#verdict')=='Flagged: toxic, insult'
        rows = [o.split('\t') for o in page.inner_text('#labels tbody').splitlines() if o.strip()]
        assert 'toxic' in str(rows) and '0.88' in str(rows) and '0.50' in str(rows)
        marked = page.eval_on_selector_all('#shaded .w', 'os => os.map(o => [o.textContent, o.className])')
        assert marked==[['IDIOT','w for-5']] and page.inner_text('#shaded')=='Well, 😀 you IDIOT'
        assert page.inner_text('#words-said').startswith('Speaks for insult: “IDIOT” (+6.0).')
        page.select_option('#label', 'toxic')
        until(page, "() => document.querySelector('#words-said').textContent.startsWith('Speaks for toxic: “IDIOT” (+5.0)')")
        assert 'flags toxic, insult' in page.inner_text('#uses') and page.inner_text('#read')

def test_spot(browser, url):
    "Mad at profanity, content again; said in words too"
    with seen(browser, url) as page:
        title = lambda: page.text_content('#spot-title')
        assert 'is content' in title() and page.is_visible('.mouth.smile') and not page.is_visible('.mouth.growl')
        typed(page, 'what an idiot')
        assert 'is mad' in title() and page.is_visible('.mouth.growl') and page.is_visible('.brows') and not page.is_visible('.mouth.smile')
        assert page.inner_text('#said')=='Spot is mad: toxic, insult.'
        typed(page, 'thank you', 'Nothing flagged')
        assert 'content again' in title() and page.is_visible('.eyes.happy') and not page.is_visible('.mouth.growl')

hostile = ['<img src=x onerror="alert(1)"><script>window.hacked=1</script> idiot', '"><svg onload=alert(1)>idiot', '</textarea><b>idiot</b>',
           '{{constructor.constructor("alert(1)")()}} idiot', 'javascript:alert(1) idiot', '\u202eidiot &lt;b&gt; &amp; \u0000idiot']

@pytest.mark.parametrize('text', hostile)
def test_markup_does_not_run(browser, url, text):
    "It is shown as it was typed, in each view"
    with seen(browser, url, expected=['400']) as page:
        typed(page, text)
        shown = text.replace('\u0000', '')
        assert page.text_content('#shaded').replace('\u0000', '')==shown and page.evaluate('window.hacked')is None
        page.check('input[value=lines]', force=True)
        page.wait_for_selector('#rows tbody button')
        assert page.text_content('#rows tbody button').replace('\u0000', '')==shown
        assert page.locator('main img, main b:not(.meter b), script:not([src])').count()==0
        page.set_input_files('#picked', dict(name='<img src=x onerror=alert(1)>.csv', mimeType='text/csv', buffer=f'<b>a</b>,<i>b</i>\n{json.dumps("x")},y\n'.encode()))
        page.wait_for_selector('#column-row:not([hidden])')
        assert page.locator('#column option').all_text_contents()==['<b>a</b>','<i>b</i>']
        page.click('#again')
        assert page.text_content('#file-result a')=='Save <img src=x onerror=alert(1)>.judged.csv'

def test_policy_holds(browser, url):
    "What gets past the script is stopped by the browser"
    with seen(browser, url, expected=['Content Security Policy','TrustedHTML','TrustedScript','Trusted Type']) as page:
        run = "() => { const o = document.createElement('script'); o.append('window.hacked=1'); document.body.append(o); return window.hacked }"
        assert page.evaluate("() => { try { document.body.innerHTML = '<b>x</b>'; return 'ran' } catch { return 'refused' } }")=='refused'
        assert page.evaluate(run) is None
        assert page.evaluate("fetch('https://example.com').then(() => 'sent', () => 'refused')")=='refused'
        assert page.evaluate('window.hacked') is None

def test_lines(browser, url, tmp_path):
    "A row for each comment; one of them alone by a click; all of them as CSV"
    with seen(browser, url) as page:
        page.check('input[value=lines]', force=True)
        page.fill('#comment', 'thank you\n\nyou idiot\nsuch "crap", really')
        until(page, "() => document.querySelector('#lines-title').textContent==='3 comments, 2 flagged'")
        cells = page.eval_on_selector_all('#rows tbody tr', 'os => os.map(o => Array.from(o.children).map(c => c.textContent))')
        assert [o[0] for o in cells]==['thank you','you idiot','such "crap", really'] and cells[1][1].endswith(' !') and not cells[0][1].endswith('!')
        with page.expect_download() as found: page.click('#save')
        found.value.save_as(tmp_path/'out.csv')
        df = pd.read_csv(tmp_path/'out.csv', encoding='utf-8-sig')
        assert df.text.tolist()==['thank you','you idiot','such "crap", really'] and df.toxic_flag.tolist()==[0,1,1]
        page.click('#rows tbody tr:nth-child(2) button')
        page.wait_for_selector('#one:not([hidden])')
        assert page.input_value('#comment')=='you idiot'

drop = """([name, text]) => { const t = new DataTransfer(); t.items.add(new File([text], name));
  for (const o of ['dragover', 'drop']) document.body.dispatchEvent(new DragEvent(o, {dataTransfer: t, bubbles: true, cancelable: true})) }"""

def test_dropped_file(browser, url, tmp_path):
    "A dropped file comes back with the scores of the service"
    rows = [f'{i},{"you idiot" if i%2 else "hello"}' for i in range(70)]
    with seen(browser, url) as page:
        page.evaluate(drop, ['mine.csv', 'id,comment\n'+'\n'.join(rows)])
        page.wait_for_selector('#file-result a')
        assert '70 comments judged' in page.inner_text('#file-result')
        with page.expect_download() as found: page.click('#file-result a')
        assert found.value.suggested_filename=='mine.judged.csv'
        found.value.save_as(tmp_path/'out.csv')
        df = pd.read_csv(tmp_path/'out.csv', encoding='utf-8-sig')
        assert df.id.tolist()==list(range(70)) and df.insult_flag.tolist()==[i%2 for i in range(70)]

def test_bad_file(browser, url):
    "What is wrong is said where the file was given"
    with seen(browser, url, expected=['400']) as page:
        page.evaluate(drop, ['mine.csv', 'a,b\n1\n'])
        page.wait_for_selector('#file-result .trouble')
        assert 'row 0 has 1' in page.inner_text('#file-result')

runners = dict(curl=lambda code: ['bash','-c',code.replace('curl ', 'curl -s ', 1)], python=lambda code: [sys.executable,'-c',code],
               javascript=lambda code: ['node','--input-type=module','-e',code])

@pytest.mark.parametrize('lang', runners)
def test_playground(browser, url, lang):
    "What is shown runs as it is, whatever the comment has in it, and says what `Send it` says"
    program = dict(curl='curl', javascript='node').get(lang)
    if program and not shutil.which(program): pytest.skip(f'there is no {program}')
    text = "it's \"you\" $HOME `id` \\n {true} null 'idiot' 😀"
    with seen(browser, url) as page:
        typed(page, text)
        page.check(f'input[value={lang}]', force=True)
        page.click('#send')
        until(page, "() => document.querySelector('#reply').textContent.startsWith('200')")
        reply = json.loads(page.text_content('#reply').split('\n', 1)[1])
        code = page.text_content('#code')
    out = subprocess.run(runners[lang](code), capture_output=True, text=True, timeout=30)
    assert out.returncode==0, out.stderr
    assert (ast.literal_eval(out.stdout) if lang=='python' else json.loads(out.stdout))==reply

def test_keys_alone(browser, url):
    "Skip link, comment, judge, switch, requests: by the keyboard"
    with seen(browser, url) as page:
        page.keyboard.press('Tab')
        assert page.evaluate('document.activeElement.className')=='skip'
        page.keyboard.press('Enter')
        page.keyboard.type('you idiot')
        page.keyboard.press('Control+Enter')
        until(page, "() => document.querySelector('#status').textContent.startsWith('Flagged')")
        page.focus('input[value=one]')
        page.keyboard.press('ArrowRight')
        page.wait_for_selector('#lines:not([hidden])')
        page.focus('input[value=curl]')
        page.keyboard.press('ArrowRight')
        assert 'urllib' in page.text_content('#code')
        order = [page.evaluate("document.activeElement.id || document.activeElement.name || document.activeElement.className") for _ in range(40)
                 if page.keyboard.press('Tab') is None]
        assert {'copy','send'}<=set(order)

def test_said_aloud(browser, url):
    "A screen reader hears the answer once it is there: a status of its own, in words"
    with seen(browser, url) as page:
        typed(page, 'you idiot')
        assert page.get_attribute('#status', 'role')=='status'
        assert page.text_content('#status')=='Flagged: toxic, insult. toxic 0.88, insult 0.95.'

looks = dict(light=dict(color_scheme='light'), dark=dict(color_scheme='dark'), phone=dict(viewport=dict(width=360, height=740), device_scale_factor=2, is_mobile=True, has_touch=True))
states = dict(empty=lambda page: None, one=lambda page: typed(page, 'you idiot, thank you'), fine=lambda page: typed(page, 'hello', 'Nothing'),
    lines=lambda page: (page.check('input[value=lines]', force=True), page.fill('#comment', 'thank you\nyou idiot'), page.wait_for_selector('#rows tbody tr')),
    sent=lambda page: (page.click('#send'), until(page, "() => document.querySelector('#reply').textContent.startsWith('200')")),
    column=lambda page: (page.evaluate(drop, ['a.csv','a,b\n1,2']), page.wait_for_selector('#column-row:not([hidden])')))

@pytest.mark.parametrize('state', states)
@pytest.mark.parametrize('look', looks)
def test_accessible(browser, url, look, state):
    "axe-core has nothing serious to say"
    axe = pytest.importorskip('axe_playwright_python.sync_playwright', reason='axe-playwright-python is not installed')
    with seen(browser, url, expected=['400'], bypass_csp=True, reduced_motion='reduce', **looks[look]) as page:
        states[state](page)
        found = axe.Axe().run(page).response['violations']
    assert [(o['id'],o['impact'],[n['target'] for n in o['nodes']]) for o in found if o['impact'] in ('serious','critical','moderate')]==[]

def test_many_flags(browser, url):
    "What a set of thresholds flags takes several lines, where six labels are wider than a phone"
    with seen(browser, url, viewport=dict(width=320, height=740)) as page:
        typed(page, 'you idiot')
        page.evaluate("document.querySelector('#uses .tag').textContent = 'flags toxic, severe_toxic, obscene, threat, insult, identity_attack'")
        assert page.evaluate('document.documentElement.scrollWidth')<=320

@pytest.mark.parametrize('width', [320,360,768,1280])
def test_narrow(browser, url, width):
    "Nothing is wider than the screen, whatever was typed"
    with seen(browser, url, viewport=dict(width=width, height=740)) as page:
        for text in ('you idiot '+'x'*400, 'https://'+'a/'*200+' idiot'):
            typed(page, 'hello', 'Nothing')
            typed(page, text)
            assert page.evaluate('document.documentElement.scrollWidth')<=width
        page.check('input[value=lines]', force=True)
        page.wait_for_selector('#rows tbody tr')
        assert page.evaluate('document.documentElement.scrollWidth')<=width

def test_still(browser, url):
    "Nobody who asked for less motion sees any"
    with seen(browser, url, reduced_motion='reduce') as page:
        typed(page, 'you idiot')
        assert page.evaluate('document.getAnimations().length')==0

def test_late_answers(browser, url):
    "An answer to what was typed before does not replace the present one"
    with seen(browser, url) as page:
        held = []
        def _hold(route):
            if 'idiot' in route.request.post_data: held.append(route)
            else: route.continue_()
        page.route('**/page/judge', _hold)
        page.fill('#comment', 'you idiot')
        page.wait_for_timeout(500)
        typed(page, 'thank you', 'Nothing flagged')
        for o in held:
            try: o.continue_()
            except Exception: pass # the page has given it up
        page.wait_for_timeout(300)
        assert page.inner_text('#verdict')=='Nothing flagged' and held

def test_busy(browser, url):
    "A busy server is not a broken page"
    with seen(browser, url, expected=['429']) as page:
        page.route('**/page/judge', lambda o: o.fulfill(status=429, headers={'Retry-After':'2'}, content_type='application/json',
                                                        body='{"error": {"message": "512 texts are waiting: come back later."}}'))
        page.fill('#comment', 'hello')
        page.wait_for_selector('#trouble:not([hidden])')
        assert page.inner_text('#trouble')=='512 texts are waiting: come back later. Try again in 2 s.'
        page.unroute('**/page/judge')
        typed(page, 'hello!', 'Nothing')
        assert not page.is_visible('#trouble')

def test_key(browser, folder, tmp_path):
    "A service with keys asks for one"
    (tmp_path/'keys').write_text('me 0123456789abcdef0123\n')
    with counting_service(folder, keys=str(tmp_path/'keys')) as (url,_),seen(browser, url, expected=['401']) as page:
        page.fill('#comment', 'you idiot')
        page.wait_for_selector('#trouble:not([hidden])')
        assert 'key' in page.inner_text('#trouble')
        page.fill('#key', '0123456789abcdef0123')
        page.press('#key', 'Tab')
        until(page, "() => document.querySelector('#status').textContent.startsWith('Flagged')")
        assert 'YOUR_KEY' in page.text_content('#code') and '0123456789abcdef' not in page.text_content('#code')
        assert page.context.cookies()==[] and page.evaluate('localStorage.length+sessionStorage.length')==0

def test_server_gone(browser, folder):
    "The page says so, and goes on when it is back"
    with counting_service(folder) as (url,p):
        with seen(browser, url, expected=['ERR_CONNECTION']) as page:
            p.terminate()
            p.wait(30)
            page.fill('#comment', 'hello')
            page.wait_for_selector('#trouble:not([hidden])')
            assert 'does not answer' in page.inner_text('#trouble')

def test_surrogates(browser, url):
    "Half a character is judged as what the detector makes of it"
    with seen(browser, url) as page:
        page.evaluate("() => { const o = document.querySelector('#comment'); o.value = 'half \\ud83d idiot'; o.dispatchEvent(new Event('input')) }")
        until(page, "() => document.querySelector('#status').textContent.startsWith('Flagged')")
        until(page, "() => document.querySelector('#words-said').textContent.includes('idiot” (')")
