"Bodies of any shape at the addresses of every contract: an answer or an error of that contract, never a failure of ours"
import json,random

import pytest
from serving import ask,needs_service,served

pytestmark = needs_service

good = {
    '/v1alpha1/comments:analyze':dict(comment=dict(text='you idiot', type='HTML'), requestedAttributes=dict(TOXICITY=dict(scoreThreshold=.1)), languages=['en'], spanAnnotations=True,
                                      context=dict(entries=[dict(text='a')]), clientToken='t', dropUnsupportedAttributes=True),
    '/v1alpha1/comments:suggestscore':dict(comment=dict(text='well done'), attributeScores=dict(TOXICITY=dict(summaryScore=dict(value=0), spanScores=[dict(begin=0, end=3, score=dict(value=1))]))),
    '/v1/moderations':dict(input=[dict(type='text', text='a')], model='omni-moderation-latest'),
    '/predict':dict(inputs=[['a'],['b']], truncate=True, raw_scores=False, truncation_direction='right'),
    '/api/v1/classify':dict(model='m', content='a'),
    '/validate':dict(inputs=[dict(name='text', shape=[1], data=['a'], datatype='BYTES'), dict(name='threshold', shape=[1], data=[.5], datatype='FP32')]),
    '/v1/coral':dict(action='NEW', comment=dict(body='<div>a</div>', parentID=None))}
odd = [None, True, 0, -1, 1e300, 10**400, '', 'x', '\ud800', '\0', '😀'*50, [], {}, [[]], [None], ['a',3], {'':None}, {'text':{'text':'a'}}, [{}], 'TOXICITY', float('nan')]

def changed(value, rng):
    "`value` with one place changed, dropped or added"
    if isinstance(value, dict) and value and rng.random()<.8:
        k = rng.choice(list(value))
        if rng.random()<.15: return {o:v for o,v in value.items() if o!=k}
        if rng.random()<.1: return {**value, rng.choice(['extra','a_b','\n']):rng.choice(odd)}
        return {**value, k:changed(value[k], rng)}
    if isinstance(value, list) and value and rng.random()<.7:
        i = rng.randrange(len(value))
        return [*value[:i], changed(value[i], rng), *value[i+1:]]
    return rng.choice(odd)

@pytest.fixture(scope='module')
def url(folder):
    with served(folder) as res: yield res

@pytest.mark.parametrize('path', good)
def test_any_body(url, path):
    rng,seen = random.Random(path),set()
    assert ask(url+path, good[path])[0] in (200,204)
    for _ in range(60):
        status,_,res = ask(url+path, json.dumps(changed(good[path], rng)).encode())
        seen.add(status)
        assert status in (200,204,400,413,422), (status, res)
        if status>=400: assert 'error' in res
    assert 400 in seen or 422 in seen
    for raw in (b'', b'\xff\xfe', b'"', b'[]', b'null', b'['*50_000): assert ask(url+path, raw)[0] in (400,422)
