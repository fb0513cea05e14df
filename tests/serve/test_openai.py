"OpenAI's moderation contract: the official client, unmodified, and every error; each score is the detector's own"
import json
from types import SimpleNamespace

import numpy as np,pytest
from serving import ask,close,key,needs_service,run_client,served,six,texts
from toxicai.labels import LabelSet
from toxicai.serve.openai import *

@pytest.fixture(scope='module')
def url(folder, keys_file):
    with served(folder, keys=keys_file) as res: yield res

def moderate(url, token=key, **kw): return ask(f'{url}/v1/moderations', kw, {'Authorization':f'Bearer {token}'} if token else {})

def test_categories():
    assert len(category_labels)==13 and {k for k,v in category_columns(LabelSet(six)).items() if v}=={'harassment','harassment/threatening','hate'}
    assert category_columns(LabelSet(['sexually_explicit','hate_speech']))|dict(harassment=[])==category_columns(LabelSet(['sexually_explicit','hate_speech']))
    assert category_columns(LabelSet(['sexually_explicit','hate_speech']))['sexual']==[0] and category_columns(LabelSet(['x','hate_speech']))['hate']==[1]

def expected(d, text):
    "From the scores alone, written anew"
    scores = dict(zip(six, d.scores(text)[0]))
    flags = {k:scores[k]>=np.float32(t) for k,t in zip(six, d.labels.thresholds)}
    groups = {'harassment':['toxic','severe_toxic','insult'], 'harassment/threatening':['threat'], 'hate':['identity_attack']}
    return {k:(max(scores[o] for o in v), any(flags[o] for o in v)) for k,v in groups.items()}

def check_result(res, d, text):
    assert len(res['categories'])==len(res['category_scores'])==13
    for k,(score,flag) in expected(d, text).items():
        assert res['category_scores'][k]==pytest.approx(score, **close) and res['category_applied_input_types'][k]==['text']
        if all(abs(d.scores(text)[0]-np.array(d.labels.thresholds))>1e-5): assert res['categories'][k]==flag
    assert res['flagged']==any(res['categories'].values())
    assert not any(v for k,v in res['category_scores'].items() if k not in expected(d, text))

@needs_service
def test_inputs(url, d):
    for given,judged in ((texts[0],texts[:1]), (texts,texts), ([dict(type='text', text='a'), dict(type='text', text='b')],['a\nb']), ('',[''])):
        status,_,res = moderate(url, input=given, model='omni-moderation-latest')
        assert status==200 and res['id'].startswith('modr-') and len(res['results'])==len(judged)
        for o,text in zip(res['results'], judged): check_result(o, d, text)

bad = [(dict(), 400, 'input', 'missing_required_parameter'), (dict(input=[]), 400, 'input', None), (dict(input=3), 400, 'input', None), (dict(input=None), 400, 'input', None),
       (dict(input=['a',3]), 400, 'input', None), (dict(input=[dict(type='text')]), 400, 'input', None), (dict(input=[dict(type='audio')]), 400, 'input', None),
       (dict(input=[dict(type='text', text='a'), dict(type='image_url', image_url=dict(url='https://x/y.png'))]), 400, 'input', 'image_not_supported'),
       (dict(input='a', model='gpt-9'), 400, 'model', 'model_not_found'), (dict(input='a', model=['x']), 400, 'model', 'model_not_found')]

@needs_service
@pytest.mark.parametrize('given,status,param,code', bad)
def test_errors(url, given, status, param, code):
    found,_,res = moderate(url, **given)
    assert found==status and res['error'].keys()=={'message','type','param','code'} and res['error']['param']==param and res['error']['code']==code

@needs_service
def test_keys_and_bodies(url):
    for token in (None,'wrong'):
        status,_,res = moderate(url, token, input='a')
        assert status==401 and res['error']['code']=='invalid_api_key'
    for raw in (b'', b'{', b'[]', b'\xff'):
        status,_,res = ask(f'{url}/v1/moderations', raw, {'Authorization':f'Bearer {key}'})
        assert status==400 and res['error']['type']=='invalid_request_error'
    status,_,res = moderate(url, input=['a']*129)
    assert status==413 and 'at most 128' in res['error']['message']

@needs_service
def test_info(url):
    res = ask(f'{url}/info')[2]['openai']
    assert res['measured']['hate']==['identity_attack'] and 'violence' in res['never_flagged'] and len(res['measured'])+len(res['never_flagged'])==13

def test_errors_of_the_service():
    "What clients try again, and what they do not"
    from toxicai.serve.batching import Overloaded,ServiceError
    assert openai_error(Overloaded('later'))['error']['type']=='rate_limit_exceeded'
    assert openai_error(ServiceError('no'))['error']['type']=='server_error'

code = '''
import json,os,sys,openai
url,key,text = sys.argv[1:]
c = openai.OpenAI(base_url=url+'/v1', api_key=key)
one = c.moderations.create(input=text)
many = c.moderations.create(input=[text, 'thank you'], model='omni-moderation-latest')
parts = c.moderations.create(input=[{'type':'text','text':text}])
res = [one.results[0].categories.model_dump(by_alias=True), one.results[0].category_scores.harassment, one.results[0].flagged, len(many.results), many.results[1].category_scores.hate, parts.results[0].category_scores.harassment]
for f in (lambda: c.moderations.create(input=[{'type':'image_url','image_url':{'url':'https://x/y.png'}}]), lambda: openai.OpenAI(base_url=url+'/v1', api_key='wrong').moderations.create(input=text)):
    try: f()
    except openai.APIStatusError as e: res.append([type(e).__name__, e.status_code, e.code, e.param])
os.environ.update(OPENAI_BASE_URL=url+'/v1', OPENAI_API_KEY=key)
res.append(openai.OpenAI().moderations.create(input=text).results[0].category_scores.harassment)
print(json.dumps(res))
'''

@pytest.mark.slow
@needs_service
def test_official_client(url, d):
    "openai: one, many, parts, an image, a wrong key, an address from the environment"
    cats,score,flagged,n,hate,again,image,wrong,by_env = run_client('openai==3.57.0', code, url, key, texts[0])
    assert len(cats)==13 and score==pytest.approx(expected(d, texts[0])['harassment'][0], **close)==again==by_env
    assert flagged==any(cats.values()) and n==2 and hate==pytest.approx(expected(d, 'thank you')['hate'][0], **close)
    assert image==['BadRequestError',400,'image_not_supported','input'] and wrong==['AuthenticationError',401,'invalid_api_key',None]
