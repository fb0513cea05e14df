"One text or many, single or pair; edits lead back; the room is light"
import subprocess,sys

import numpy as np,pandas as pd,pytest
from hypothesis import given,strategies as st
from toxicai.text.core import *

pair = ('you idiot','so what')

# What was passed -> is it one text for a model of single texts, of pairs, of either
alone = {'text': ('so what', (True,False,True)), 'tuple': (pair, (False,True,True)), 'list': (list(pair), (False,)*3), 'array': (np.array(pair), (False,)*3),
         'three': (('a','b','c'), (False,)*3), 'numbers': ((1,2), (False,)*3), 'series': (pd.Series(pair), (False,)*3), 'none': (None, (False,)*3), 'empty': ('', (True,False,True))}

@pytest.mark.parametrize('name', alone)
def test_is_one_text(name):
    o,want = alone[name]
    assert tuple(is_one_text(o, pairs) for pairs in (False,True,None))==want

sorts = {'text': ('a','text'), 'np.str_': (np.str_('a'),'text'), 'pair': (pair,'pair'), 'pair in a list': (list(pair),'pair'), 'dict': ({'input_ids':[1]},'dict'), 'dict of two': ({'a':1,'b':2},'dict'),
         'one': (('a',),None), 'mixed': (('a',None),None), 'nan': (float('nan'),None), 'bytes': (b'ab',None)}

@pytest.mark.parametrize('name', sorts)
def test_text_sort(name):
    o,want = sorts[name]
    assert text_sort(o)==want and is_pair(o)==(want=='pair')

many = {'list': ['a'], 'list of two': ['a','b'], 'generator': (o for o in 'ab'), 'series': pd.Series(['a']), 'frame': pd.DataFrame({'text':['a']}), 'array': np.array(['a']), 'empty': []}
one = {'text': 'a', 'pair': pair, 'dict': {'text':'a'}, 'bytes': b'a', 'number': 3, 'none': None, 'array without length': np.array('a')}

@pytest.mark.parametrize('name', many)
def test_many(name): assert as_many(many[name]) is many[name]

@pytest.mark.parametrize('name', one)
def test_one(name):
    res = as_many(one[name])
    assert isinstance(res, list) and len(res)==1 and res[0] is one[name]

def test_as_texts():
    "What the model was made for decides"
    assert as_texts(pair)==list(pair) and as_texts(pair, True)==[pair] and as_texts(iter('ab'))==['a','b'] and as_texts([])==[]
    assert as_texts([list(pair)], True)==[list(pair)]
    for o,pairs in (('a',True), (list(pair),True), ([pair],False), ([{'input_ids':[1]}],False)):
        with pytest.raises(TypeError, match='the detector judges'): as_texts(o, pairs)

@given(st.text('ab', max_size=30), st.text('ab', max_size=30), st.text('ab', max_size=30))
def test_moved_starts(a, b, c):
    "Edits on edits: offsets of the last text are those of the text between, moved"
    first,second = align_edits(a, b),align_edits(b, c)
    starts = moved_starts(edit_starts(len(a), first), second)
    assert len(starts)==len(c)+1 and starts[-1]==len(a) and starts==sorted(starts)

@given(st.text('ab c,', max_size=40))
def test_without_nothing_and_all(text):
    assert without(text, [])==text and not without(text, word_spans(text)).strip()

def test_light():
    "Serving imports this room: NumPy and regex, nothing heavier"
    heavy = 'torch fastai transformers pandas tokenizers datasets fastcore'.split()
    code = f'import sys, toxicai.text.core; print([o for o in {heavy} if o in sys.modules])'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()=='[]'
