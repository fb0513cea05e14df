"Perspective's contract: what clients that others wrote see of it, and every error; each score is the detector's own"
import http.client,json,random,string,uuid
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np,pytest
from hypothesis import given,settings,strategies as st
from serving import ask,close,key,needs_service,run_client,served,six,texts
from toxicai.labels import LabelSet
from toxicai.serve.plaintext import *
from toxicai.serve.messages import *
from toxicai.serve.calls import *
from toxicai.serve.perspective import *

@pytest.fixture(scope='module')
def url(folder):
    with served(folder) as res: yield res

keys = (key,'another-long-secret')

@pytest.fixture(scope='module')
def closed(folder, tmp_path_factory):
    "A service that asks for keys and keeps corrections"
    tmp = tmp_path_factory.mktemp('closed')
    (tmp/'keys.txt').write_text(''.join(f'name{i} {o}\n' for i,o in enumerate(keys)))
    with served(folder, keys=str(tmp/'keys.txt'), feedback=str(tmp/'corrections.jsonl')) as res: yield SimpleNamespace(url=res, feedback=tmp/'corrections.jsonl')

def body(text='you are an idiot', attributes=('TOXICITY',), kind=None, **kw):
    return dict(comment=dict(text=text, **(dict(type=kind) if kind else {})), requestedAttributes={o:{} for o in attributes}, **kw)

def analyze(url, query='', **kw): return ask(f'{url}/v1alpha1/comments:analyze{query}', body(**kw))

# The messages of a request

good = dict(TOXICITY=0, SEVERE_TOXICITY=1, PROFANITY=2, OBSCENE=2, THREAT=3, INSULT=4, IDENTITY_ATTACK=5, IDENTITY_ATTACK_EXPERIMENTAL=5, TOXICITY_FAST=0)

@pytest.mark.parametrize('name,column', good.items())
def test_attributes(name, column): assert attribute_column(LabelSet(six), name)==column

def test_attributes_that_are_not_measured():
    assert not {o for o in attribute_labels if attribute_column(LabelSet(six), o) is not None}-set(good)-{f'{o}_EXPERIMENTAL' for o in good}
    assert attribute_column(LabelSet(['spam','ham']), 'SPAM')==0 and attribute_column(LabelSet(six), 'TOXIC') is None

bad_messages = [
    (b'{', 'Unexpected token'), (b'\xff\xfe', 'Unexpected token'), (b'['*100_000, 'Unexpected token'), (b'[]', "Invalid value at ''"),
    (b'{"comment": "hi"}', "Invalid value at 'comment' (TextEntry)"), (b'{"comment": {"text": 1}}', "'comment.text' (TYPE_STRING)"),
    (b'{"comment": {"text": "a", "typ": 1}}', 'Unknown name "typ" at \'comment\''), (b'{"doNotStore": "yes"}', "'doNotStore' (TYPE_BOOL)"),
    (b'{"languages": "en"}', "'languages' (list)"), (b'{"languages": ["en", 3]}', "'languages[1]' (TYPE_STRING)"),
    (b'{"requestedAttributes": ["TOXICITY"]}', "'requestedAttributes' (map)"), (b'{"comment": {"type": "MARKDOWN"}}', 'Unknown text type'),
    (b'{"requestedAttributes": {"A": {"scoreThreshold": NaN}}}', "'requestedAttributes[0].value.scoreThreshold' (TYPE_FLOAT)"),
    (b'{"requestedAttributes": {"A": {"scoreThreshold": true}}}', '(TYPE_FLOAT)'), (b'{"requested_attributes": {"A": {"score_type": "ODD"}}}', '(ScoreType)'),
    (b'{"a\\nb": 1}', 'Unknown name "a?b"')]

@pytest.mark.parametrize('raw,says', bad_messages)
def test_bad_messages(raw, says):
    with pytest.raises(PerspectiveError) as e: json_message(raw, 'AnalyzeCommentRequest')
    assert says in e.value.message

def test_snake_case():
    "The other spelling of Protocol Buffers, to any depth"
    found = json_message(b'{"span_annotations": true, "context": {"article_and_parent_comment": {"parent_comment": {"text": "a"}}}}', 'AnalyzeCommentRequest')
    assert found==dict(spanAnnotations=True, context=dict(articleAndParentComment=dict(parentComment=dict(text='a'))))

# Offsets

plain_values = st.recursive(st.none()|st.booleans()|st.floats()|st.integers()|st.text(max_size=8), lambda o: st.lists(o, max_size=3)|st.lists(o, max_size=3).map(tuple)|st.dictionaries(st.text(max_size=5), o, max_size=3), max_leaves=12)

@settings(max_examples=200, deadline=None)
@given(plain_values)
def test_indents(value): assert indented_json(value)==json.dumps(value, indent=2)

@given(st.text())
@settings(max_examples=200, deadline=None)
def test_utf16(text):
    "The same as an encoder counts, character by character"
    assert utf16_starts(text)==[len(text[:i].encode('utf-16-le', 'surrogatepass'))//2 for i in range(len(text)+1)]

def in_units(text, a, b): return text.encode('utf-16-le')[2*a:2*b].decode('utf-16-le')

@pytest.mark.parametrize('text,expected', [
    ('One. Two! Three?', ['One.','Two!','Three?']), ('😀😀 ok. ＡＢ', ['😀😀 ok.','ＡＢ']), ('a\n\n b \n', ['a','b']), ('3.5 of 10', ['3.5 of 10']),
    ('これは。それは！', ['これは。','それは！']), ('"Wow!" she said', ['"Wow!"','she said']), ('   ', ['   ']), ('...', ['...']), ('a.'*50, ['a.'*50])])
def test_sentences(text, expected):
    comment = plain_comment(dict(text=text))
    spans = [comment.sent_span(a, b) for a,b in comment.spans(True)]
    assert [in_units(text, a, b) for a,b in spans]==expected

@pytest.mark.parametrize('text', ['.'*20_000, ' '*20_000, '. '*10_000, '<'*20_000, '<!--'*5000, '<a "'*5000, '<script>'*2500, '\n'*20_000, '&amp'*5000])
def test_no_text_takes_long(text):
    "What makes patterns slow; a pattern that tries every end for every start would not come back"
    for kind in ('PLAIN_TEXT','HTML'):
        try: comment = plain_comment(dict(text=text, type=kind))
        except PerspectiveError as e: assert 'non-empty' in e.message
        else: assert 1<=len(comment.spans(True))<=100

class Reader(HTMLParser): # of the standard library
    def __init__(self):
        super().__init__()
        self.seen,self.hidden = [],0
    def handle_starttag(self, tag, attrs): self.hidden += tag in ('script','style')
    def handle_endtag(self, tag): self.hidden -= tag in ('script','style')
    def handle_data(self, data): self.seen += [] if self.hidden else [data]

pieces = ['<p>','</p>','<b>','</b>','<br/>','idiot',' you ','&lt;','&#128512;','<a href="http://x.y/?q=1">','</a>','<!-- no -->','<script>bad()</script>','😀','\n','<img src=x>']

@given(st.lists(st.sampled_from(pieces), min_size=1, max_size=12))
@settings(max_examples=200, deadline=None)
def test_markup(parts):
    "The letters that the parser of the standard library sees, and each at its place"
    text,reader = ''.join(parts),Reader()
    reader.feed(text)
    reader.close()
    plain,starts = without_markup(text)
    assert ''.join(plain.split())==''.join(''.join(reader.seen).split())
    assert len(starts)==len(plain)+1 and starts==sorted(starts) and starts[-1]==len(text)
    assert all(text[i]==o for o,i in zip(plain, starts) if o.isalpha())

# Part of an answer

answer = dict(attributeScores=dict(A=dict(summaryScore=dict(value=1, type='P'), spanScores=[dict(begin=0, end=1)]), B=dict(summaryScore=dict(value=2))), languages=['en'])

@pytest.mark.parametrize('fields,expected', [
    ('languages', dict(languages=['en'])), ('attributeScores/B', dict(attributeScores=dict(B=answer['attributeScores']['B']))),
    ('attributeScores/*/summaryScore/value', dict(attributeScores=dict(A=dict(summaryScore=dict(value=1)), B=dict(summaryScore=dict(value=2))))),
    ('attributeScores(A/spanScores/end,B(summaryScore)),languages', dict(attributeScores=dict(A=dict(spanScores=[dict(end=1)]), B=answer['attributeScores']['B']), languages=['en'])),
    ('*', answer), ('nothing', {})])
def test_fields(fields, expected): assert selected_fields(answer, field_paths(fields))==expected

@pytest.mark.parametrize('fields', ['a(b', 'a)b', 'a(b))', 'a(b)c', ')', '('*2000])
def test_bad_fields(fields):
    with pytest.raises(PerspectiveError, match='Invalid field selection'): field_paths(fields)

@given(st.text('ab(),/* ', max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_fields(fields):
    try: paths = field_paths(fields)
    except PerspectiveError: return
    selected_fields(answer, paths)

# The service

@needs_service
def test_scores(url, d):
    for text in texts:
        status,headers,res = analyze(url, text=text, attributes=good)
        assert status==200 and headers['content-type'].startswith('application/json')
        for name,i in good.items():
            found,score = res['attributeScores'][name],d.scores(text)[0,i]
            assert found['summaryScore']==dict(value=pytest.approx(score, **close), type='PROBABILITY')
            assert [(o['begin'],o['end'],o['score']) for o in found['spanScores']]==[(0,utf16_starts(text)[-1],found['summaryScore'])]

@needs_service
def test_spans(url, d):
    text = 'Hi 😀! You fool. Thank you…'
    _,_,res = analyze(url, text=text, attributes=['INSULT'], spanAnnotations=True)
    spans = res['attributeScores']['INSULT']['spanScores']
    assert [in_units(text, o['begin'], o['end']) for o in spans]==['Hi 😀!','You fool.','Thank you…']
    assert [o['score']['value'] for o in spans]==pytest.approx(d.scores(['Hi 😀!','You fool.','Thank you…'])[:,4].tolist(), **close)
    assert res['attributeScores']['INSULT']['summaryScore']['value']==pytest.approx(d.scores(text)[0,4], **close)

@needs_service
def test_html(url, d):
    text = '<p>Hi 😀!</p><p>You <b>fool</b> &amp; liar</p>'
    _,_,res = analyze(url, text=text, kind='HTML', spanAnnotations=True)
    found = res['attributeScores']['TOXICITY']
    assert [in_units(text, o['begin'], o['end']) for o in found['spanScores']]==['Hi 😀!','You <b>fool</b> &amp; liar']
    assert found['spanScores'][1]['score']['value']==pytest.approx(d.scores('You fool & liar')[0,0], **close)
    plain = analyze(url, text=text)[2]['attributeScores']['TOXICITY']
    assert plain['summaryScore']['value']==pytest.approx(d.scores(text)[0,0], **close)

@needs_service
def test_threshold_and_echo(url, d):
    score,ask_for = float(d.scores('thank you')[0,0]),lambda v: {**body('thank you'), 'requestedAttributes':dict(TOXICITY=dict(scoreThreshold=v)), 'clientToken':'mine'}
    below,above = (ask(f'{url}/v1alpha1/comments:analyze', ask_for(v))[2] for v in (score-.01,score+.01))
    assert below['clientToken']==above['clientToken']=='mine' and 'attributeScores' in below and 'attributeScores' not in above

@needs_service
@pytest.mark.parametrize('text', ['lol ok', 'x', 'zzz hmm', '👍', '   ', 'ok!!!', 'Das ist ein sehr schöner Tag und ich freue mich'])
def test_no_language_is_refused(url, text):
    status,_,res = analyze(url, text=text)
    assert status==200 and len(res['detectedLanguages'])==1 and res['languages']==res['detectedLanguages']

errors = [
    (dict(text=''), 'COMMENT_EMPTY', 'Comment must be non-empty.'), (dict(text='<p></p>', kind='HTML'), 'COMMENT_EMPTY', 'Comment must be non-empty.'),
    (dict(text='ü'*10_241), 'COMMENT_TOO_LONG', 'Comment text too long.'), (dict(attributes=()), 'NO_REQUESTED_ATTRIBUTES', 'Missing requested_attributes'),
    (dict(attributes=['NOISE']), 'INVALID_REQUEST', 'Unknown requested attribute: NOISE'), (dict(attributes=['FLIRTATION']), 'INVALID_REQUEST', 'Unknown requested attribute: FLIRTATION'),
    (dict(context=dict(entries=[dict(text='a')], articleAndParentComment=dict(article=dict(text='b')))), 'INVALID_REQUEST', 'Context can have either entries or article_and_parent_comment, but both fields were populated.'),
    (dict(attributes=['NOISE'], dropUnsupportedAttributes=True), 'INVALID_REQUEST', 'Unknown requested attribute: NOISE')]

@needs_service
@pytest.mark.parametrize('kw,kind,message', errors)
def test_errors(url, kw, kind, message):
    status,_,res = analyze(url, **kw)
    assert status==400 and res['error']['code']==400 and res['error']['status']=='INVALID_ARGUMENT' and res['error']['message']==message
    assert res['error']['details'][0]['errorType']==kind and res['error']['details'][0]['@type'].endswith('commentanalyzer.v1alpha1.Error')

@needs_service
def test_score_types(url):
    for o in ('RAW','PERCENTILE','STD_DEV_SCORE','PROBABILITY','SCORE_TYPE_UNSPECIFIED'):
        status,_,res = ask(f'{url}/v1alpha1/comments:analyze', {**body(), 'requestedAttributes':dict(INSULT=dict(scoreType=o))})
        if 'PROB' in o or 'UNSP' in o: assert status==200
        else: assert res['error']['message']==f'Requested score type {o} is not supported by attribute INSULT'

@needs_service
def test_dropped(url):
    _,_,res = analyze(url, attributes=['FLIRTATION','TOXICITY'], dropUnsupportedAttributes=True)
    assert list(res['attributeScores'])==['TOXICITY']
    assert 'attributeScores' not in analyze(url, attributes=['FLIRTATION'], dropUnsupportedAttributes=True)[2]

@needs_service
def test_largest(url):
    "20,480 bytes are judged"
    for o in ('a '*10_240, '😀'*5120):
        status,_,res = analyze(url, text=o, spanAnnotations=True)
        assert status==200 and res['attributeScores']['TOXICITY']['spanScores'][-1]['end']<=20_480

def test_languages():
    "What is known, what is not, and what may be dropped"
    ask_for,toxic = dict(languages=['de','fr']),[AskedAttribute('TOXICITY', 0)]
    assert attributes_in_languages(toxic, ask_for, [], ['de'])==toxic
    assert attributes_in_languages(toxic, ask_for, ['fr'], ['de'])==toxic and attributes_in_languages(toxic, {}, ['fr'], ['de'])==toxic
    assert attributes_in_languages(toxic, dict(ask_for, dropUnsupportedAttributes=True), ['en'], ['de'])==[]
    with pytest.raises(PerspectiveError) as e: attributes_in_languages(toxic, ask_for, ['en'], ['de'])
    assert e.value.message=='Attribute TOXICITY does not support request languages: de, fr'
    assert e.value.facts==dict(errorType='LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE', languageNotSupportedByAttributeError=dict(attribute='TOXICITY', requestedLanguages=['de','fr'], detectedLanguages=['de']))
    assert known_languages(['hi-Latn','EN_us','zh'], ['hi','en'])==['hi-Latn','EN_us']

@needs_service
def test_query(url):
    assert analyze(url, '?fields=languages')[2].keys()=={'languages'}
    assert analyze(url, '?fields=a(')[2]['error']['message']=='Invalid field selection a('
    assert analyze(url, '?alt=proto')[0]==400 and analyze(url, '?alt=json&quotaUser=me&uploadType=x')[0]==200
    status,headers,text = analyze(url, '?callback=got.it&prettyPrint=false')
    assert text.startswith('// API callback\ngot.it({') and headers['content-type'].startswith('text/javascript') and headers['x-content-type-options']=='nosniff'
    assert analyze(url, '?callback=alert(1)')[0]==400
    assert analyze(url, '?$.xgafv=1', text='')[2]['error']['errors'][0]['message']=='Comment must be non-empty.'

@needs_service
def test_keys(closed):
    for query,headers,status in ((f'?key={keys[0]}',{},200), ('',{'X-API-KEY':keys[1]},200), ('',{'Authorization':f'Bearer {keys[0]}'},200), ('?key=wrong',{},400), ('',{},403)):
        code,_,res = ask(f'{closed.url}/v1alpha1/comments:analyze{query}', body(), headers)
        assert code==status, (query, headers, res)
        if status==400: assert res['error']['message']=='API key not valid. Please pass a valid API key.' and res['error']['details'][0]['reason']=='API_KEY_INVALID'
        if status==403: assert res['error']['status']=='PERMISSION_DENIED'

@needs_service
def test_suggestions(closed, url):
    "Kept in the order of labels, as `load_comments` reads them; a service that keeps nothing answers alike"
    ask_for = dict(comment=dict(text='well <b>done</b>', type='HTML'), attributeScores=dict(TOXICITY=dict(summaryScore=dict(value=0)), FLIRTATION=dict(summaryScore=dict(value=1))), clientToken='comment:1', communityId='Coral:x')
    for at in (url, closed.url):
        status,_,res = ask(f'{at}/v1alpha1/comments:suggestscore?key={keys[0]}', ask_for)
        assert status==200 and res['clientToken']=='comment:1' and res['requestedLanguages']==[] and len(res['detectedLanguages'])==1
    rows = [json.loads(o) for o in closed.feedback.read_text().splitlines()]
    assert rows[-1]['text']=='well done' and rows[-1]['toxic']==0 and rows[-1]['insult'] is None

@needs_service
@pytest.mark.parametrize('scores,says', [({},'must be non-empty'), (dict(TOXICITY={}),'TOXICITY must be non-empty'), (dict(NOISE=dict(summaryScore=dict(value=1))),'Unknown requested attribute'),
    (dict(TOXICITY=dict(spanScores=[dict(begin=1, score=dict(value=1))])),'must have begin and end'), (dict(TOXICITY=dict(summaryScore={})),'must be non-empty'), (dict(TOXICITY=dict(summaryScore=dict(type='PROBABILITY'))),'must have a value')])
def test_bad_suggestions(url, scores, says):
    status,_,res = ask(f'{url}/v1alpha1/comments:suggestscore', dict(comment=dict(text='a'), attributeScores=scores))
    assert status==400 and says in res['error']['message']

@needs_service
def test_suggestions_from_strangers(url):
    "What a page of a stranger can make a browser send is refused"
    good = dict(comment=dict(text='a'), attributeScores=dict(TOXICITY=dict(summaryScore=dict(value=1))))
    for o in ('text/plain','application/x-www-form-urlencoded'): assert ask(f'{url}/v1alpha1/comments:suggestscore', good, kind=o)[0]==400
    assert ask(f'{url}/batch', b'--b\r\n\r\n--b--', kind='multipart/form-data; boundary=b')[0]==400

def as_part(at, target, content, method='POST', end='\r\n'):
    lines = ['Content-Type: application/http', f'Content-ID: <{uuid.UUID(int=7)} + {at}>', '', f'{method} {target} HTTP/1.1', 'Content-Type: application/json', '', content]
    return end.join(lines)

def as_batch(parts, mark='===b', end='\r\n'): return (''.join(f'--{mark}{end}{o}{end}' for o in parts)+f'--{mark}--').encode(),f'multipart/mixed; boundary="{mark}"'

def batch_answers(res, headers):
    mark = headers['content-type'].split('boundary=')[1]
    return [o for o in res.split(f'--{mark}') if 'HTTP/1.1' in o]

@needs_service
@pytest.mark.parametrize('end', ['\r\n','\n'])
def test_batch(url, d, end):
    "Each call has its own answer, errors too, in order"
    path = '/v1alpha1/comments:analyze?alt=json'
    parts = [as_part(i, path, json.dumps(body(o)), end=end) for i,o in enumerate(texts)] + [as_part(90, path, json.dumps(body('')), end=end), as_part(91, '/healthz', '', 'GET', end=end)]
    raw,kind = as_batch(parts, end=end)
    status,headers,res = ask(f'{url}/batch', raw, kind=kind)
    found = batch_answers(res, headers)
    assert status==200 and len(found)==len(texts)+2
    for i,(o,text) in enumerate(zip(found, texts)):
        assert f'<response-{uuid.UUID(int=7)} + {i}>' in o and 'HTTP/1.1 200 OK' in o
        assert json.loads(o[o.index('{'):])['attributeScores']['TOXICITY']['summaryScore']['value']==pytest.approx(d.scores(text)[0,0], **close)
    assert 'HTTP/1.1 400 Bad Request' in found[-2] and 'Comment must be non-empty.' in found[-2] and 'HTTP/1.1 404' in found[-1]

@needs_service
def test_batch_keys(closed):
    "A key in the call, or that of the batch"
    part = lambda query: as_part(1, f'/v1alpha1/comments:analyze{query}', json.dumps(body()))
    for queries,outer,statuses in (([f'?key={keys[0]}','?key=wrong',''],'',[200,400,403]), (['','?key=wrong'],f'?key={keys[1]}',[200,400])):
        raw,kind = as_batch(map(part, queries))
        _,headers,res = ask(f'{closed.url}/batch{outer}', raw, kind=kind)
        assert [int(o.split('HTTP/1.1 ')[1][:3]) for o in batch_answers(res, headers)]==statuses

@needs_service
def test_bad_batches(url):
    for raw,kind in ((b'', 'multipart/mixed; boundary=b'), (b'hello', 'multipart/mixed; boundary=b'), (b'--b--', 'multipart/mixed'), as_batch([as_part(1, '/', '')]*1001), as_batch(['','','\0'])):
        status,_,res = ask(f'{url}/batch', raw, kind=kind)
        assert status in (200,400)
        if status==400: assert res['error']['status']=='INVALID_ARGUMENT'

@needs_service
def test_injection(url):
    "What a part says of itself cannot put a header into an answer"
    part = as_part(1, '/v1alpha1/comments:analyze', '{}').replace(f'{uuid.UUID(int=7)} + 1', 'a\rSet-Cookie: b\x0bc\x85d')
    _,headers,res = ask(f'{url}/batch', as_batch([part])[0], kind=as_batch([])[1])
    assert '\nSet-Cookie' not in res and '\rSet-Cookie' not in res

@needs_service
def test_other_addresses(url):
    status,_,res = ask(f'{url}/v1alpha1/comments:nothing', body())
    assert status==404 and res['error']['status']=='NOT_FOUND'
    assert ask(f'{url}/v1alpha1/comments:analyze')[0]==405
    assert ask(f'{url}/$discovery/rest?version=v2')[0]==404

@needs_service
def test_discovery(url):
    _,_,doc = ask(f'{url}/$discovery/rest?version=v1alpha1')
    assert doc['kind']=='discovery#restDescription' and doc['rootUrl']==f'{url}/' and doc['batchPath']=='batch' and not doc['servicePath']
    refs = set(json.dumps(doc).split('"$ref": "')[1:])
    assert {o.split('"')[0] for o in refs}<=set(doc['schemas'])

# Clients that others wrote, as they are

google = 'google-api-python-client==2.202.0'
google_code = '''
import json,sys
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
url,text = sys.argv[1:]
c = build('commentanalyzer', 'v1alpha1', developerKey='k', discoveryServiceUrl=url+'/$discovery/rest?version=v1alpha1', static_discovery=False)
body = lambda text: dict(comment=dict(text=text), requestedAttributes=dict(TOXICITY={}, INSULT={}), languages=['en'], clientToken='t')
res = [c.comments().analyze(body=body(text), fields='attributeScores/INSULT,clientToken').execute()]
res.append(c.comments().suggestscore(body=dict(comment=dict(text=text), attributeScores=dict(TOXICITY=dict(summaryScore=dict(value=1))))).execute())
try: c.comments().analyze(body=body('')).execute()
except HttpError as e: res.append([e.resp.status, e.reason, e.error_details])
got = {}
batch = c.new_batch_http_request(callback=lambda i, r, e: got.update({i: r or e.reason}))
for i,o in enumerate([text, '', 'thank you']): batch.add(c.comments().analyze(body=body(o)), request_id=str(i))
batch.execute()
print(json.dumps([*res, got]))
'''

@pytest.mark.slow
@needs_service
def test_google(url, d):
    "google-api-python-client: discovery from us, a part of an answer, an error, a batch"
    first,suggested,error,batch = run_client(google, google_code, url, texts[0])
    for o in (first, batch['0']): assert o['attributeScores']['INSULT']['summaryScore']['value']==pytest.approx(d.scores(texts[0])[0,4], **close)
    assert first.keys()=={'attributeScores','clientToken'} and list(first['attributeScores'])==['INSULT'] and suggested['requestedLanguages']==[]
    assert error[:2]==[400,'Comment must be non-empty.'] and error[2][0]['errorType']=='COMMENT_EMPTY'
    assert batch['1']=='Comment must be non-empty.' and batch['2']['attributeScores']['TOXICITY']['summaryScore']['value']==pytest.approx(d.scores('thank you')[0,0], **close)

pyperspective_code = '''
import json,sys
import PyPerspective.Perspective as m
from PyPerspective.errors import InvalidAuthKey
url,key,text = sys.argv[1:]
m.base_url = url+'/v1alpha1/comments:analyze'
c = m.Perspective(key).get_score(text, tests=['TOXICITY','INSULT'], langs=['en'])
res = [[o.name, o.score, o.score_type, [[str(s), s.start, s.end, s.score] for s in o.spans]] for o in c.attributes]
try: m.Perspective('wrong'); res.append('no error')
except InvalidAuthKey as e: res.append(str(e))
print(json.dumps([c.requests_langs, *res]))
'''

@pytest.mark.slow
@needs_service
def test_pyperspective(closed, d):
    "PyPerspective: it asks for its key with an empty body, and reads spans, languages and messages"
    langs,toxic,insult,wrong = run_client('PyPerspective==1.0.4', pyperspective_code, closed.url, keys[0], texts[0])
    assert langs==['en'] and toxic[0]=='TOXICITY' and toxic[1]==pytest.approx(d.scores(texts[0])[0,0], **close) and insult[1]==pytest.approx(d.scores(texts[0])[0,4], **close)
    assert toxic[3][0][:3]==[texts[0], 0, len(texts[0])] and wrong=='Invalid Auth Key Provided!'

perspective_code = '''
import json,sys
from perspective import PerspectiveAPI
url,text = sys.argv[1:]
c = PerspectiveAPI('k')
c.api_client.url = url+'/v1alpha1/{endpoint}'
spans = c.analyze_comment(text, requested_attributes={'INSULT': {'scoreThreshold': 0.0}}, span_annotations=True, languages=['en'], do_not_store=True, context=[{'text':'before','type':'PLAIN_TEXT'}], session_id='s', community_id='c')
given = c.suggest_score(text, {'TOXICITY': {'summaryScore': {'value': 1.0, 'type': 'PROBABILITY'}}}, client_token='t')
print(json.dumps([c.score(text, tests=['TOXICITY','THREAT']), spans, given]))
'''

@pytest.mark.slow
@needs_service
def test_perspective(url, d):
    "perspective: scores, spans, a suggestion"
    text = texts[2]
    score,spans,given = run_client('perspective==1.0.3', perspective_code, url, text)
    assert score==dict(TOXICITY=pytest.approx(d.scores(text)[0,0], **close), THREAT=pytest.approx(d.scores(text)[0,3], **close))
    assert len(spans['attributeScores']['INSULT']['spanScores'])==3 and given['clientToken']=='t'
