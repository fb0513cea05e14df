"What TEI, Discourse, Coral and Guardrails send, as their sources state it, and what they read from the answer"
import hmac,json
from hashlib import sha256
from types import SimpleNamespace

import numpy as np,pytest
from serving import ask,close,key,needs_service,served,six,texts
from toxicai.labels import LabelSet
from toxicai.serve.decisions import Decider,Policy
from toxicai.serve.detector import Detections
from toxicai.serve.batching import BadInput,WrongKey
from toxicai.serve.hosts import *

pytestmark = needs_service
secret = 'open sesame'

@pytest.fixture(scope='module')
def url(folder, keys_file):
    with served(folder, keys=keys_file, options=dict(hosts=dict(coral_secret=['old', secret]))) as res: yield res

def by_label(rows): return {o['label']:o['score'] for o in rows}

# TEI and Discourse AI

def discourse_ai(url, text): # discourse-ai, HuggingFaceTextEmbeddings and its sentiment classifiers
    return ask(f'{url}/predict', dict(inputs=text, truncate=True), {'X-API-KEY':key, 'Authorization':f'Bearer {key}', 'Referer':'https://forum.example'})

def test_discourse_ai(url, d):
    for text in texts:
        status,_,res = discourse_ai(url, text)
        assert status==200 and [by_label(res)[o] for o in six]==pytest.approx(d.scores(text)[0].tolist(), **close)
        assert [o['score'] for o in res]==sorted((o['score'] for o in res), reverse=True)

def predict(url, **kw): return ask(f'{url}/predict', kw, {'X-API-KEY':key})

def test_tei(url, d):
    "A batch, logits, and that classes do not share one probability"
    _,_,res = predict(url, inputs=[[o] for o in texts])
    found = np.array([[by_label(o)[k] for k in six] for o in res])
    assert found==pytest.approx(d.scores(texts), **close) and (abs(found.sum(1)-1)>.1).all()
    raw = predict(url, inputs=texts[0], raw_scores=True)[2]
    assert [by_label(raw)[k] for k in six]==pytest.approx(d(texts[0], 'all').logits[0].tolist(), **close)

bad = [(dict(inputs=''), 400, 'empty'), (dict(inputs=[]), 400, 'empty'), (dict(inputs=[['a'],['']]), 400, 'empty'), (dict(), 422, 'validation'), (dict(inputs=3), 422, 'validation'),
       (dict(inputs=['a','b']), 422, 'tokenizer'), (dict(inputs=[['a','b']]), 422, 'tokenizer'), (dict(inputs=[['a'],'b']), 200, None), (dict(inputs=[[3]]), 422, 'validation'),
       (dict(inputs='a', truncation_direction='Left'), 422, 'validation'), (dict(inputs='a', truncation_direction='Right'), 200, None), (dict(inputs=[['a']]*129), 413, 'validation')]

@pytest.mark.parametrize('given,status,kind', bad)
def test_tei_errors(url, given, status, kind):
    found,_,res = predict(url, **given)
    assert found==status and (kind is None or (res['error_type']==kind and isinstance(res['error'], str)))

def test_tei_keys(url):
    status,_,res = ask(f'{url}/predict', dict(inputs='a'))
    assert status==401 and res.keys()=={'error','error_type'}
    assert ask(f'{url}/predict', b'{', {'X-API-KEY':key})[2].keys()=={'error','error_type'}

def test_tei_state(url):
    info = ask(f'{url}/info')[2]
    assert info['model_type']['classifier']['id2label']=={str(i):o for i,o in enumerate(six)} and info['max_input_length']>0 and info['model_id']
    assert ask(f'{url}/health')[0]==200

def test_cut(url):
    "Where it is asked for; a service reads long texts in windows, so nothing is cut"
    found = Detections(LabelSet(['toxic']), np.ones((2,1), bool), n_tokens=np.array([5,700]), truncated=np.array([False,True]))
    check_cut(found[0], 512)
    with pytest.raises(TeiError, match='less than 512 tokens. Given: 700') as e: check_cut(found, 512)
    assert e.value.status==413
    assert predict(url, inputs='kind words '*500, truncate=False)[0]==200

def test_cut_by_the_service(folder):
    with served(folder, long='truncate') as at:
        assert [ask(f'{at}/predict', dict(inputs='kind words '*900, **o))[0] for o in (dict(truncate=False), dict(truncate=True), {})]==[413,200,200]

# Discourse before 2025

def test_discourse_legacy(url, d):
    status,_,res = ask(f'{url}/api/v1/classify', dict(model='unbiased', content=texts[0]), {'X-API-KEY':key})
    names = 'toxicity severe_toxicity obscene identity_attack insult threat sexual_explicit'.split()
    assert status==200 and list(res)==names and res['sexual_explicit']==0 and all(isinstance(v, int) and 0<=v<=100 for v in res.values())
    scores = dict(zip(six, d.scores(texts[0])[0]))
    for name,label in zip(names[:6], ['toxic','severe_toxic','obscene','identity_attack','insult','threat']): assert abs(res[name]-100*scores[label])<=.51
    assert ask(f'{url}/api/v1/classify', dict(model='unbiased'), {'X-API-KEY':key})[0]==400

# Guardrails: how 0.0.2 of guardrails-ai-toxic-language builds a request and reads the answer

def guardrails(url, sentences, threshold):
    inputs = [dict(name='text', shape=[len(sentences)], data=sentences, datatype='BYTES'), dict(name='threshold', shape=[1], data=[threshold], datatype='FP32')]
    status,_,res = ask(f'{url}/validate', dict(inputs=inputs), {'Authorization':f'Bearer {key}'})
    assert status==200 and 'outputs' in res
    return [o['data'][0] for o in res['outputs']]

def test_guardrails(url, d):
    least = float(np.median(d.scores(texts)))
    found = guardrails(url, texts, least)
    names = dict(toxic='toxicity', severe_toxic='severe_toxicity', identity_attack='identity_attack')
    for o,scores in zip(found, d.scores(texts)): assert set(o)=={names.get(k, k) for k,v in zip(six, scores) if v>least}
    assert guardrails(url, ['a'], 1.)==[[]] and len(guardrails(url, ['a'], -1.)[0])==7 and len(found)==len(texts)

@pytest.mark.parametrize('inputs', [None, [], [3], [dict(name='text')], [dict(name='text', data=[])], [dict(name='text', data='a')], [dict(name='text', data=['a']), dict(name='threshold', data=['x'])],
                                    [dict(name='text', data=['a']), dict(name='threshold', data=[])]])
def test_bad_tensors(inputs):
    with pytest.raises(BadInput, match='tensor'): guard_inputs(dict(inputs=inputs))

# Coral: EXTERNAL_MODERATION_PHASES.md and WEBHOOKS.md of coralproject/talk

def phase(text, action='NEW', parent=None):
    return dict(action=action, comment=dict(body=text, parentID=parent), author=dict(id='baf4e943', role='COMMENTER'), story=dict(id='245b3856', url='http://localhost:1313/posts/a-story-url/'),
                site=dict(id='a4bede88'), tenantID='19ba5794', tenantDomain='localhost')

def signature(raw, *secrets): return ','.join(f'sha256={hmac.new(o.encode(), raw, sha256).hexdigest()}' for o in secrets)

def moderate(url, text, *secrets, raw=None):
    raw = json.dumps(phase(text)).encode() if raw is None else raw
    return ask(f'{url}/v1/coral', raw, {'X-Coral-Signature':signature(raw, *secrets)} if secrets else {})

def test_coral(url, d):
    seen = set()
    for text in texts:
        status,_,res = moderate(url, f'<div>{text.replace("u", "<b>u</b>")}</div>', secret)
        flagged = bool(d(f'\n{text}\n').flags.any())
        seen.add(flagged)
        assert status==(200 if flagged else 204) and (not flagged or res==dict(status='SYSTEM_WITHHELD', actions=[dict(actionType='FLAG', reason='COMMENT_DETECTED_TOXIC')]))

def test_signatures(url):
    raw = json.dumps(phase('hi')).encode()
    good = signature(raw, secret)
    assert all(ask(f'{url}/v1/coral', raw, {'X-Coral-Signature':o})[0] in (200,204) for o in (good, signature(raw, 'new', secret), signature(raw, 'old')))
    for o in ('', 'sha256=', 'sha256='+'0'*64, good[:-1], good.removeprefix('sha256='), signature(raw, 'wrong'), 'é'):
        headers = {'X-Coral-Signature':o.encode('utf-8').decode('latin-1')} if o else {}
        assert ask(f'{url}/v1/coral', raw, headers)[0]==401, o
    assert ask(f'{url}/v1/coral', raw+b' ', {'X-Coral-Signature':good})[0]==401
    assert ask(f'{url}/v1/coral?key={key}', raw)[0]==401, 'a key is no signature'

def test_coral_bodies(url):
    for raw in (b'{', b'[]', b'{}', b'{"comment": {"body": 3}}', b'{"comment": "a"}'): assert moderate(url, '', secret, raw=raw)[0]==400
    status,_,_ = moderate(url, 'kind words '*4000, secret)
    assert status in (200,204) # longer than a text may be: judged in parts

@pytest.mark.parametrize('scores,cuts,expected', [((0.1,0.2),True,'allow'), ((0.1,0.5),True,'review'), ((0.9,0.1),True,'block'), ((0.9,0.1),False,'review'), ((0.1,0.2),False,'allow')])
def test_coral_decisions(scores, cuts, expected):
    "The worst part counts; without a policy nothing is rejected before a person has seen it"
    labels,scores = LabelSet(['toxic']),np.array(scores)[:,None]
    found = Detections(labels, scores>=0.5, scores)
    if cuts:
        policy = Policy({'toxic':dict(review=0.4, block=0.8)})
        found.decider,found.levels = Decider(policy),policy.levels_of(scores, labels)
    assert coral_decision(found)==expected

def test_secrets_are_needed_with_keys():
    config = SimpleNamespace(options={})
    check_signature(SimpleNamespace(config=config, keys=[]), b'', '')
    with pytest.raises(WrongKey, match='coral_secret'): check_signature(SimpleNamespace(config=config, keys=['a']), b'', '')
