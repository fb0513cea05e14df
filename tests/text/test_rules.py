"Normalisation rules: what presets do to ordinary sentences and to evasions, any string at all, agreement with other libraries"
import pickle,sys,tracemalloc,unicodedata
from contextlib import contextmanager
from pathlib import Path

import pytest,regex
from hypothesis import example,given,settings
from hypothesis import strategies as st

from toxicai.serve import decisions
from toxicai.strings import *
from toxicai.text import evasion,rules
from toxicai.text.core import *
from toxicai.text.rules import *

# Neither `light` nor `strict` may change any of these
same = [
    'I bought 3 apples for $4.50 at 9:30 a.m.', 'The price fell from $1,000,000 to $999,999.99.', 'It costs €20, £15 or ¥3000.', 'US$5 and 10% off until 31/12/2026.', 'Pay $5k now or 100$ later.',
    'H2SO4 is sulphuric acid, C6H12O6 is glucose.', 'Dissolve 2,4-D and CH3OH in H2O.', 'NaCl, CO2, CaCO3, Fe2O3 and C2H5OH are compounds.', 'The H1N1 and H5N1 strains differ.', 'IL-6 and TNF-alpha rise; vitamin B12 falls.',
    'Write to jane.doe+news@example.com or admin@s1te.org.', 'See https://example.com/f.u.c.k?q=sh1t&x=2#top for more.', 'Visit www.example.org/a_b/c-d today.', 'The file is in /usr/local/lib/python3.11/site.py', 'Open C:\\Users\\b0b\\file.txt',
    'Scunthorpe and Penistone are towns.', 'Mr Cockburn and Miss Dickinson live in Sussex.', 'Hancock, Hitchcock and Peacock met Matsushita.', 'The class must assess the massive assets.', 'A cocktail of shiitake and grass.', 'Assassins pass the bass to the compass.',
    'B2B sales, MP3 players, a PS5 and a 4K TV.', '4chan, 8chan, 9gag and 3blue1brown are sites.', 'R2D2 and C3PO are robots.', 'W3C, i18n, l10n, k8s, log4j and neo4j.', 'The base64 of a sha256 is not md5.', 'Windows 10 on an x86-64 with 16GB.',
    'The U.S.A. and the U.K. signed it.', 'That is, e.g. this, i.e. that, etc.', 'Ph.D. students, M.Sc. and B.A. alike.', 'J. R. R. Tolkien and C. S. Lewis wrote.', 'N.A.T.O. and N.A.S.A. are initials.', 'Choose a b c or d.', 'Plan A, plan B, plan C.', 'The variables x y z and i j k.',
    'Meet at 10:30 on 2026-11-20, gate A4.', 'Call +1 (555) 010-9999 now.', 'He ran the 100m in 9.8s, the 1st of 12.', 'The 1990s, the 21st century, the 3rd man.', 'It is 5km away, 20kg, 3.5GHz, 1080p.',
    'if a<b and c>d then x = y[i] * 2', 'for (i = 0; i < n; i++) { s += a[i]; }', 'def f(x): return x**2 + 1', 'Use `git reset --hard` and snake_case_names.', 'The result is 2*3*4 = 24.', 'E = mc² and πr², ½ a cup, ™ and ©.', 'A * B is not B * A.',
    'My iPhone, eBay, YouTube, LaTeX, JavaScript.', 'McDonald and O\'Neill, DeVito and MacBook Pro.', 'I am SO HAPPY about this!!!', 'Hmm, well, shhh, brrr, zzz.', 'Henry VIII, Louis XVI and Super Bowl XXX.', 'AAA batteries and the BBB rating.', 'Mississippi, Cannes and bookkeeping.',
    'Привет, как дела? Всё хорошо.', 'Καλημέρα, τι κάνεις;', 'El niño comió piña en Logroño; ¿qué tal?', 'Der Fluß über die Brücke, naïve café.', 'Tiếng Việt có nhiều dấu.', 'שָׁלוֹם עֲלֵיכֶם', 'السَّلَامُ عَلَيْكُمْ', 'می‌خواهم بروم', 'ภาษาไทยที่นี่', 'हिन्दी में क्षमा करें', '日本語と中文。', '한국어 문장입니다',
    '5 μm, 10 Ω, Δt, αMSH and β-carotene.', 'I love you ❤️ 👩‍💻 🇺🇸🇬🇧', 'A push, it hit the ditch; the witch itches.', 'It s hit or miss.', 'as-is, so-so, well-known, x-ray', '**Bold** and *emphasis* and __init__', 'She said "well... maybe" - or not.', 'Rated 5* by all, see note**.',
    'Dick Cheney and Dick Van Dyke sang.', 'A rapeseed field near Essex.', 'Cats&dogs, R&B, AT&T and Q&A.', 'The cock crowed; the pussy willow bloomed.', 'Ke$ha and A$AP Rocky performed.', '@assange and @dickens wrote, #ff0000 is red.', 'Buy $TSLA and $AAPL.', 'go to /r/all or ~/bin', 'The mishit ball, a bullshit detector.']

# What the strict preset loses on harmless texts, known and accepted
losses = {'The b4by is h4ppy.':'The baby is happy.', 'My passw0rd is weak.':'My password is weak.', 'That is sooo nice.':'That is so nice.', 'She said n-o-t-e it.':'She said note it.', 'pʰa is aspirated.':'pha is aspirated.'}

evasions = {
    'you sh1t':'you shit', 'sh!t':'shit', '$hit happens':'shit happens', 'kiss my @ss':'kiss my ass', 'what an a$$':'what an ass', 'stup1d 1diot':'stupid idiot', 'l0ser':'loser', 'you b1tch':'you bitch', 'n1gg3r':'nigger',
    'f**k off':'fuck off', 'f*ck':'fuck', 'F#@K':'FUCK', 'f***ing hell':'fucking hell', 'b*tch':'bitch', 'sh-t':'shit', 'f@ck':'fuck', 'c**t':'cunt', 'a**hole':'asshole', 's**t':'shit', 'f*** you':'fuck you',
    'f.u.c.k':'fuck', 'f u c k you':'fuck you', 'F-U-C-K':'FUCK', 's_h_i_t':'shit', 'you are s t u p i d':'you are stupid', 'i d i o t':'idiot', 'f.u.u.u.c.k':'fuck', 'f * c * k':'f * c * k',
    'fuuuuck':'fuck', 'shiiiit':'shit', 'stuuupid':'stupid', 'biiitch':'bitch', 'fuuckk':'fuck', 'fu ck you':'fuck you', 'bit ch':'bitch', 'id iot':'idiot', 'fuckyou':'fuck you', 'youareanidiot':'you are an idiot',
    'fUcK':'fuck', 'sTuPiD':'stupid', 'iDiOt':'idiot', 'fuсk':'fuck', 'ѕһіt':'shit', 'fúck':'fuck', 'f\u200bu\u200bc\u200bk':'fuck', 'ｆｕｃｋ':'fuck', '𝓯𝓾𝓬𝓴':'fuck', 'ᶠᵘᶜᵏ':'fuck', 'ꜰᴜᴄᴋ':'fuck', 'Ⓕⓤⓒⓚ':'Fuck', 'f̶u̶c̶k̶':'fuck',
    'f\u0335\u0321\u035cu\u0337\u0322c\u0338\u0327k\u0334\u0328':'fuck', 'f&#117;ck':'fuck', 'f<b></b>uck':'fuck', 'fuuuck1ng sh1t':'fucking shit', 'm1erda':'mierda', 'k1ll yours3lf':'kill yourself'}

@pytest.mark.parametrize('room', [evasion,rules,decisions])
def test_late_patterns(room):
    "Patterns that wait for their first use are patterns, of the library that they name"
    found = [o for v in vars(room).values() for o in (v.values() if isinstance(v, dict) else [v]) if isinstance(o, LatePattern)]
    assert len(found)>4
    for o in found: assert o.compiled.pattern==o.pattern and type(o.compiled).__module__.strip('_') in (o.library,'regex.regex')

def test_late_pattern_is_one():
    "What was asked for stays, threads and copies included, and an unknown attribute is an error of its own"
    o = late_re('(?P<a>x)y*')
    assert not o.__dict__.keys() & {'compiled','search'} and o.search('zxyy')['a']=='x' and vars(o)['search'].__self__ is o.compiled
    assert pickle.loads(pickle.dumps(late_regex(r'\p{Lu}'))).findall('aBC')==['B','C']
    with pytest.raises(AttributeError): o.nothing

@pytest.mark.parametrize('text', same)
@pytest.mark.parametrize('preset', ['none','light','strict','twitter_roberta'])
def test_ordinary(preset, text):
    "Ordinary sentences stay, but for the placeholders of a checkpoint"
    if preset=='twitter_roberta' and any(o in text for o in ('@','://','www')): pytest.skip('has a placeholder')
    assert Rules(preset)(text)==text

def test_enough(): assert len(same)>=60

@pytest.mark.parametrize('text,expected', {**evasions, **losses}.items())
def test_strict(text, expected): assert Rules('strict')(text)==expected

@pytest.mark.parametrize('text,expected', {**evasions, **losses}.items())
def test_strict_maps_back(text, expected):
    "The normalised text without its blank ends leads back to the whole of what was typed"
    (start,end), = Rules('strict').back(text, [(0,len(expected))])
    assert text[start:end].strip('\u200b')==text

# Words of other languages that begin, or have within them, a word of the list; and words that are really written together
abroad = """moronas morona desmoronado desmoronando bastarda bastardilla bastardear retardado retardadas retardador estupidamente idiotez
    abastardamento retardaste retardando idiotice bastardia marron retardataire retarderais retardait idiotisme stupidement stupides
    idioten Idiotentest stupiden stupideren bastarden stupidamente stupidi bastardi idiotismi stupiditeit retarderen Idiotinnen""".split()
together = {'moronsareus':'morons are us', 'stupididiot':'stupid idiot', 'youretarded':'you retarded', 'whatamoron':'what a moron', 'amoronlikeyou':'a moron like you',
            'idiotboss':'idiot boss'}

@pytest.mark.parametrize('word', abroad)
def test_whole_abroad(word):
    "An ending is no word: nothing is cut off in a sentence, whichever dictionary is asked"
    for lang in evasion.languages: assert evasion.joined_words(f'las {word} de pan', lang)==[]
    assert Rules('strict')(f'la {word},')==f'la {word},'

@pytest.mark.parametrize('text,expected', together.items())
def test_written_together(text, expected): assert Rules('strict')(text)==expected

social = {'@bob, see https://t.co/x1! #BlackLivesMatter 😂😂😂':'@user, see http! Black Lives Matter face with tears of joy face with tears of joy face with tears of joy',
    'hahahahaha jajajja kkkkkk хахахаха lololol ahahah':'haha jaja kkkk хаха lol haha', 'KKK is no joke, www neither, aha':'KKK is no joke, www neither, aha', 'Nooooooo!!!!!!! ?!?!?!':'Nooo!!! ?!',
    'mail a@b.com and C# is #1':'mail a@b.com and C# is #1', 'see bbc.co.uk/news, x.com':'see http, http', 'either/or and his.her':'either/or and his.her', '<p>Hi<br/>you</p>':'Hi you', 'a  b\n\nc':'a b c', 'in 1000000 years':'in 1000000 years'}

@pytest.mark.parametrize('text,expected', social.items())
def test_social(text, expected): assert Rules('social')(text)==expected

families = {('robertuito','@ana mirá https://t.co/x #NiUnaMenos jajajajaja siiiiii 😀'):'@usuario mirá url Ni Una Menos jaja siii emoji cara sonriendo emoji',
    ('bertweet','@bob don’t see https://t.co/x… 😀!'):"@USER do n't see HTTPURL ... :grinning_face: !", ('twitter_roberta','@bob see https://t.co/x :)'):'@user see http :)'}

@pytest.mark.parametrize('preset,text', families)
def test_families(preset, text): assert Rules(preset)(text)==families[preset,text]

def test_bertweet_agrees():
    "With the normalisation in the tokenizer of transformers, on tweets of plain words, users, addresses and emoji"
    tok = pytest.importorskip('transformers.models.bertweet.tokenization_bertweet')
    theirs = tok.BertweetTokenizer.__new__(tok.BertweetTokenizer)
    theirs.special_puncts,theirs.tweetPreprocessor,theirs.demojizer = {'’':"'", '…':'...'},tok.TweetTokenizer(),__import__('emoji').demojize
    for text in ["@bob I don't know, see https://t.co/abc 😀", 'So good!!! #winning (really) 10:30', "They're here... I'm not; she'd go & we've won 3-0", 'Hi :) <3 well-known facts: 1,000 or 50%']:
        assert Rules('bertweet')(text)==theirs.normalizeTweet(text)

# Any string at all, with more of what rules look for than chance would bring
_pieces = st.sampled_from(['f','u','c','k','fuck','sh1t','f*ck','@ss','&amp;','&lt;','&#','<b>','<a x=1>','@user','http://a.b','www.','#TagOne',' ','  ','\n','.','!','?','1','$','*','-','_','\u0301','\u0336','\u0345','\u200b','\u200d','\ufe0f',
    '\u202e','\xad','а','с','я','α','Ａ','ｶ','ﾞ','𝓯','𝒙','ᶠ','🅱','Ⓐ','😀','👩','💻','🇺','🇸','🏴','\U000e0067','\U000e007f','é','Ã©','â€™','\ud800','\udc00','\x00','\x85','م','ی','\u200c','क','्','\u1100','\u1161','ﬁ','ﷺ','ℝ','½','“','…','ja','ha','k','lo','x'])
anything = st.lists(st.one_of(_pieces, _pieces, st.characters()), max_size=20).map(''.join)

@pytest.mark.parametrize('preset', presets)
def test_any_string(preset):
    "No error, settled, `mapped` and `all` agree with the call, offsets in order and within the text, spans lead back"
    rules = Rules(preset)
    @settings(max_examples=60, deadline=None)
    @given(anything)
    def check(text):
        new,starts = rules.mapped(text)
        assert new==rules(text)==rules.all([text])[0]
        assert len(starts)==len(new)+1 and starts[-1]==len(text) and starts==sorted(starts) and starts[0]>=0
        assert rules(new)==new
        for i in range(len(new)):
            a,b = back_span(starts, i, i+1)
            assert 0<=a<=b<=len(text)
            if new[i]!=text[a:a+1]: continue
            assert a<b
        if new: assert back_span(starts, 0, len(new))==(starts[0],len(text))
    check()

@pytest.mark.parametrize('preset', presets)
def test_ascii_shortcut(preset):
    "The one look at an ASCII text misses nothing: `mapped` does not take it"
    rules = Rules(preset)
    for text in ['Nooooo','what!!!!!','----','fuuuck','fuckyou','fu ck','f u c k','f.u.c.k','f**k','sh1t','fUcK','@bob','#tag','a.com','www.x.org','hahaha','lolol','kkkkk',' a','a  b','a\n','&lt;','&#60;','<br>','a\x00b','a\x0bb','a\x7f','plain text']:
        assert rules(text)==rules.mapped(text)[0]
    @settings(max_examples=100, deadline=None)
    @given(st.text(alphabet=st.characters(max_codepoint=127), max_size=12))
    def check(text): assert rules(text)==rules.mapped(text)[0]
    check()

@pytest.mark.parametrize('name', rule_names)
def test_edits(name):
    "Edits are in order, do not overlap, lie within the text and change it; `needs` is never in the way"
    f = rule(name)
    @settings(max_examples=60, deadline=None)
    @given(anything)
    def check(text):
        edits = f.edits(text)
        at = 0
        for start,end,new in edits:
            assert at<=start<=end<=len(text) and text[start:end]!=new
            at = end
        full = f.f(text) if f.arg is None else f.f(text, f.arg)
        assert apply_edits(text, full)==f(text)
    check()

@settings(max_examples=100, deadline=None)
@given(anything)
def test_nfc(text):
    "As `unicodedata` on text without piles of marks"
    if not regex.search(r'\p{M}{30}', text): assert rule('nfc')(text)==unicodedata.normalize('NFC', text)

@given(st.text(alphabet='ab c', max_size=30), st.text(alphabet='ab c', max_size=30))
def test_align(old, new):
    edits = align_edits(old, new)
    assert apply_edits(old, edits)==new and edits==sorted(edits)

def test_unseen():
    "The cheap test for invisible characters knows every one that the rule removes"
    hidden = regex.findall(r'[\p{Default_Ignorable_Code_Point}\p{Cc}]', ''.join(map(chr, range(sys.maxunicode+1))))
    for o in hidden:
        if not o.isspace() and not '\ufff0'<=o<='\ufff8': assert rule('invisible')(f'a{o}b')=='ab', hex(ord(o))

keep = ['می‌خواهم','क्‍ष','ന്‍','👩‍💻','❤️','☺︎','1️⃣','🏴󠁧󠁢󠁥󠁮󠁧󠁿','👍🏽','葛󠄀','ᠭᠣᠣ᠋','한국','Việt Nam','ᾅ','ǫ́','x̅','ℝ','𝑥 = 2','m²','½','™','①','10⁵','1º','a ≠ b','Ω','№ 5','℃','ʃ','SMSка','ı']

@pytest.mark.parametrize('text', keep)
def test_kept(text): assert Rules('light')(text)==unicodedata.normalize('NFC', text)

mended = {'cafÃ© â€“ naÃ¯ve':'café – naïve', 'a&amp;amp;b &quot;x&#39;':'a&b "x\'', '?a=1&copy=2&lt':'?a=1&copy=2&lt', 'p\xada\u200by\u202e':'pay', 'a\u3000b\xa0c':'a b c', 'ﬁne ﬂag':'fine flag', 'ｶﾞｷﾞ ＡＢＣ１':'ガギ ABC1',
    '𝐇𝐞𝐥𝐥𝐨 𝟙𝟚':'Hello 12', 'ﻣﺮﺣﺒﺎ':'مرحبا', 'e\u0301':'é', 'pаypаl':'paypal', 'h\u0301\u0302\u0303\u0304i':'hi'}

@pytest.mark.parametrize('text,expected', mended.items())
def test_mended(text, expected): assert Rules('light')(text)==expected

long = ['a','ab ','f ','f.','a1','$a','!?','@','#','&amp;','&#','<a <','<a x="','\u0301\u0316','\u05b0','\u200d','Ã','â€','аa','𝓯','ｶ','\ud800','\x00','\n',' ','ja','fu ck ','www.','a.com/','f*','fuckx','aAa','aa','..','日','é','😀']

@pytest.mark.parametrize('piece', long)
def test_long(piece):
    "100,000 characters of one sort pass every rule; a pattern that backtracks would not come back"
    text = (piece*100000)[:100000]
    for name in rule_names: rule(name)(text)
    new,starts = Rules('light').mapped(text)
    assert len(starts)==len(new)+1

def test_megabyte():
    for preset in presets: assert Rules(preset)('a'*1000000)

def test_languages():
    assert Rules('strict', lang='es')('qué m1erda, eres un estup1do')=='qué mierda, eres un estupido' or evasion.word_frequency('es').get('estupido',0)<1
    assert Rules(['emoji_names'], lang='es')('😀').strip()=='cara sonriendo'
    assert Rules(['leet:en'], lang='es').names==['leet:en']
    with pytest.raises(ValueError, match='expected one of'): Rules('strict', lang='xx')

def test_identity():
    assert Rules('light')==Rules(presets['light'])!=Rules('none') and len({Rules('light'),Rules('light')})==1
    assert Rules(())('a\u200b')=='a\u200b' and Rules('none')==Rules([])
    assert repr(Rules('strict'))=="Rules('strict')" and repr(Rules(['nfc']))=="Rules(['nfc'])"
    for o in presets: assert pickle.loads(pickle.dumps(Rules(o)))==Rules(o)==Rules(Rules(o).names)
    own = Rules([str.lower, 'nfc'])
    assert own('ÀB')=='àb' and own==Rules([str.lower, 'nfc']) and own.mapped('AB')==('ab',[0,1,2])

@pytest.mark.parametrize('bad', [None, 3, 2.5, b'x', ['x'], {'x'}])
def test_bad_text(bad):
    for f in (Rules('light'), Rules('none'), Rules('light').mapped):
        with pytest.raises(TypeError, match='expected str'): f(bad)

def test_encoder():
    "The rules go into a `TextEncoder`"
    from toxicai.test_utils import tiny_tokenizer
    from toxicai.text.tokenizer import TextEncoder
    tok = tiny_tokenizer()
    a,b = TextEncoder(tok, max_length=32, rules=Rules('light')),TextEncoder(tok, max_length=32)
    assert a.encode(['f\u200bool &amp; co']).arrays['input_ids'].tolist()==b.encode(['fool & co']).arrays['input_ids'].tolist()

def test_own_function_runs_once():
    "Rules of the library are repeated until nothing changes; a function that never settles is not"
    rules = Rules(['spaces', lambda o: o+'!'])
    assert rules('a\xa0b')=='a b!' and rules.mapped('a\xa0b')==('a b!', [0,1,2,3,3])

@pytest.mark.parametrize('preset', ['light','social','strict'])
@pytest.mark.parametrize('text', ['&'+'amp;'*200_000+'lt;', 'a'*100_000+'1', 'aA'*50_000+'1', '#'+'1'*50_000+'g', 'aÃ©'*3000], ids=['entity','run','case','tag','mojibake'])
def test_odd_end(preset, text):
    "A long run whose last character spoils the match takes no more than a moment: quadratic time would take minutes"
    assert isinstance(Rules(preset)(text), str)

@pytest.mark.parametrize('checkpoint, preset', [
    ('vinai/bertweet-base','bertweet'), ('bertweet-base','bertweet'), ('/models/BERTweet-base/','bertweet'), ('/home/me/bertweet/distilbert','light'), ('bertweet-data/distilbert','light'),
    ('../robertuito/out','light'), ('out/my-robertuito-2','robertuito'), ('cardiffnlp/twitter-roberta-base','twitter_roberta'), ('/models/cardiffnlp/twitter-xlm-roberta-base','twitter_roberta'),
    ('cardiffnlp/tweet-topic','light'), ('/data/cardiffnlp/twitter-x/distilbert','light'), ('mycardiffnlp/twitter-x','light'), ('C:\\\\models\\\\bertweet\\\\out','light'), ('',  'light'),
    ('/c/models--vinai--bertweet-base/snapshots/0123abc','bertweet'), ('/c/models--cardiffnlp--twitter-roberta-base/snapshots/0123abc','twitter_roberta'), ('/c/models--me--bertweet/files/out','light')])
def test_family(checkpoint, preset):
    "The family shows in the name, not in the folders above"
    assert rules_for(checkpoint)==rules_for(Path(checkpoint))==preset if checkpoint else rules_for(checkpoint)==preset

@pytest.mark.parametrize('config, preset', [('{"_name_or_path": "vinai/bertweet-base"}','bertweet'), ('{"_name_or_path": "/tmp/bertweet/out"}','light'), ('{"model_type": "roberta"}','light'),
    ('{"_name_or_path": null}','light'), ('{','light'), ('[]','light'), ('\xff','light')])
def test_family_of_a_folder(config, preset, tmp_path):
    (tmp_path/'model').mkdir()
    (tmp_path/'model/config.json').write_bytes(config.encode('latin-1'))
    assert rules_for(tmp_path/'model')==preset

def test_micro():
    "The micro sign is a unit, also beside letters of other scripts; letters of mathematics are letters"
    assert rule('lookalikes')('5 µm thick, и так')=='5 µm thick, и так'
    assert rule('lookalikes')('a fℝee word')=='a fRee word'

# A rule from outside

def swap_edits(text, lang): return [(i,i+1,lang) for i,o in enumerate(text) if o=='~']

@pytest.fixture
def own_rule():
    add_rule('tildes', swap_edits, needs='[~]', default='en', choices=('en','es'))
    yield
    known_rules.pop('tildes')

def test_own_rule(own_rule, monkeypatch):
    "It has an argument and a language, leads back, travels, and may stand in a preset; the rest of the library finds it in the table"
    assert Rules(['tildes'])('a ~')=='a en' and Rules(['tildes'], lang='es')('a ~')=='a es' and Rules(['tildes:es']).names==['tildes:es']
    rules = Rules(['html_entities','tildes'])
    assert rules.mapped('&lt;~ x')==('<en x', [0,4,4,5,6,7]) and rules.back('&lt;~ x', [(1,3)])==[(4,5)]
    assert pickle.loads(pickle.dumps(rules))==Rules(rules.names)==rules and rules('plain')=='plain'
    monkeypatch.setitem(presets, 'mine', ('tildes',))
    assert Rules('mine')('~')=='en' and repr(Rules('mine'))=="Rules('mine')" and 'tildes' in rule_names
    with pytest.raises(ValueError, match="expected one of \\['en', 'es'\\]"): rule('tildes:fr')

def test_own_rule_is_stored_by_name(own_rule, tmp_path):
    "An encoder with it makes the same ids from its names"
    from toxicai.test_utils import tiny_checkpoint
    from toxicai.text.tokenizer import TextEncoder
    a = TextEncoder(tiny_checkpoint(), max_length=32, rules=['tildes:es'])
    assert a.encode(['you ~']).arrays['input_ids'].tolist()==TextEncoder(tiny_checkpoint(), max_length=32, rules=()).encode(['you es']).arrays['input_ids'].tolist()
    known_rules.pop('tildes')
    with pytest.raises(ValueError, match="no rule is called 'tildes'"): Rules(a.rules.names)
    add_rule('tildes', swap_edits, '[~]', 'en', ('en','es'))

@pytest.mark.parametrize('name, f, err', [('leet',swap_edits,ValueError), ('',swap_edits,ValueError), ('a:b',swap_edits,ValueError), ('a','f',TypeError)])
def test_bad_rule(name, f, err):
    with pytest.raises(err): add_rule(name, f)
    assert set(known_rules)==set(rule_names) and 'a' not in known_rules

# Capitals that look like small letters

cased = {'КІLL':'KILL', 'KІLL':'KILL', 'KӀLL':'KILL', 'KⅠLL':'KILL', 'KＩLL':'KILL', 'K𝐈LL':'KILL', 'KℐLL':'KILL', 'KⲒLL':'KILL', 'KꓲLL':'KILL', 'KᛁLL':'KILL', 'ІDIOT':'IDIOT', 'IDІOT':'IDIOT', 'Іdiot':'Idiot', 'Іt is':'It is', 'BRITІSH':'BRITISH', 'SHІT':'SHIT',
    'heӀӀo':'hello', 'assһoӀe':'asshole', 'іdіоt':'idiot', 'Ꮷick':'Dick', 'baᏧ':'bad', 'ᎥDIOT':'IDIOT', 'ЬITCH':'BITCH', 'aЬout':'about', 'ЅHІT':'SHIT', 'ѕhit':'shit', 'FUСK':'FUCK', 'fuсk':'fuck', 'bꓮd':'bad', 'BꓮD':'BAD', 'ꓮPPLE':'APPLE', 'foꓳl':'fool', 'Ｏh Ｏ':'Oh O', 'ХXX':'XXX', 'хxx':'xxx', 'ᏚHIT':'SHIT', 'ⅾumb':'dumb', 'ⅭOCK':'COCK'}

@pytest.mark.parametrize('text,expected', cased.items())
def test_case_stays(text, expected):
    "Letters of other scripts become Latin ones in their own case, or in that of their neighbours where their shape leaves a doubt"
    assert Rules('light')(text)==expected

def confusable_letters():
    "All letters that the table of confusables knows a Latin letter for"
    from confusable_homoglyphs.confusables import confusables_data
    return [o for o in confusables_data if len(o)==1 and not o.isascii() and evasion.lookalike(o)]

def name_of(char): return regex.sub(r'.*(?:LETTER|CAPITAL|SMALL) ', '', unicodedata.name(char, ''))

def test_no_capital_becomes_small():
    """A letter with the property Uppercase becomes a capital: alone, at the beginning of a word, and among capitals, by every rule.
    Among small letters alone may it be a small letter of another name, because there a reader takes it for one: `heӀӀo`, `baᏧ`."""
    letters = [o for o in confusable_letters() if regex.match(r'\p{Uppercase}', o)]
    assert len(letters)>400
    for o in letters:
        assert evasion.lookalike(o).isupper() and evasion.in_case(evasion.latin_shape(o), o).isupper(), o
        for word in (f'K{o}LL', f'{o}ab', f'{o}AB', f'AB{o}'):
            for name in ('lookalikes','letterforms','nfkc'):
                new = rule(name)(word)
                i = word.index(o)
                assert len(new)!=len(word) or new[i] in (o,unicodedata.normalize('NFKC', o)) or new[i].isupper(), (word,new)
        assert Rules('light')(f'K{o}LL')[1:2].islower() is False, o

def test_small_letters_stay_small():
    for o in confusable_letters():
        if regex.match(r'\p{Lowercase}', o): assert evasion.lookalike(o).islower(), o

def test_case_of_neighbours():
    "Letters without a case take that of the letters around; `l` among capitals is `I`"
    for o in confusable_letters():
        if regex.match(r'(?!\p{Latin})\p{Lo}', o):
            assert evasion.latin_word(f'ab{o}ab')[2].islower() and evasion.latin_word(f'AB{o}AB')[2].isupper(), o

# Rules that feed each other

feeding = [['users:@a @b'], ['users:@a @b @c @d @e @f @g @h @i @j']*3, ['users:http://a.b','urls:@x @y'], ['users:&#64;a &#64;b','html_entities'], ['urls:http://a.b http://c.d'], ['users:@x@y @z'], ['users:#a @b','hashtags'], ['users:＠a ＠b','letterforms'],
    ['users:@you@me @you'], ['urls:www.a.b.c www.d.e','users'], ['users:@a\u200b @b','invisible']]

@contextmanager
def little_memory():
    "At most 20 MB of Python's memory inside"
    tracemalloc.start()
    yield
    assert tracemalloc.get_traced_memory()[1]<20_000_000
    tracemalloc.stop()

@pytest.mark.parametrize('names', feeding, ids=str)
def test_feeding(names):
    "Refused with the name of a rule before any text is read, in little memory"
    with little_memory(), pytest.raises(ValueError, match="the rule '(users|urls):"): Rules(names)

@pytest.mark.parametrize('names', feeding, ids=str)
def test_feeding_in_a_folder(names):
    "Across rooms: the rules that `toxicai.json` names are refused as those of a user are, in little memory"
    from toxicai.serve.folder import FolderError,stored_rules
    with little_memory(), pytest.raises(FolderError, match="`text.rules` of 'toxicai.json': the rule '(users|urls):"): stored_rules(names)

settled = [['users:@user'], ['users:@USER','urls:HTTPURL','words_apart'], ['users:<user>','html_tags'], ['users:👤','emoji_names'], ['users: someone ','whitespace'], ['users:&lt;user&gt;','html_entities'], ['users:@a'], ['users:','urls:'], ['users:http','urls:http'], ['urls:example.org/x'], ['users:a@b.c']]

@pytest.mark.parametrize('names', settled, ids=str)
def test_settled(names):
    text = '@bob, see https://t.co/x and @ann! '*50
    assert len(Rules(names)(text))<=100*len(text)

def test_growth_is_bounded(own_rule):
    "A rule from outside and a function of the user's own, whose growth only a text shows; the longer text is not made"
    add_rule('echo', lambda text: [(i,i+1,'aa') for i,o in enumerate(text) if o=='a'])
    add_rule('flood', lambda text: [(i,i+1,'b'*10**6) for i,o in enumerate(text) if o=='a'])
    try:
        assert Rules(['echo'])('a')=='a'*32
        with pytest.raises(ValueError, match="the rule 'flood' makes 1,000,000,000 characters of a text of 1,000"): Rules(['flood'])('a'*1000)
        with pytest.raises(ValueError, match="the rule 'flood' makes"): Rules(['flood']).mapped('a'*1000)
        with pytest.raises(ValueError, match="the rule 'tenfold' makes"): Rules([tenfold]*6)('a'*1000)
    finally:
        for o in ('echo','flood'): known_rules.pop(o)

def tenfold(text): return text*10

def test_own_placeholder():
    "A rule from outside with a placeholder is tried as those of the library are"
    price = regex.compile(r'\$\d+')
    add_rule('prices', lambda text, sign: match_edits(price, lambda m: sign, text), default='[price]')
    try:
        assert Rules(['prices'])('$5')=='[price]'
        with pytest.raises(ValueError, match="the rule 'prices:.1 and .2' feeds itself"): Rules(['prices:$1 and $2'])
    finally: known_rules.pop('prices')

@pytest.mark.parametrize('name', ['users:'+'x'*201, 'urls:'+'x'*10**6, 'repeats:1001', 'repeats:'+'9'*5000, 'repeats:4294967296'], ids=lambda o: o[:20])
def test_arguments_are_bounded(name):
    with pytest.raises(ValueError, match='expected') as e: rule(name)
    assert len(str(e.value))<400

def test_longest_emoji():
    "No emoji comes near the bound"
    import emoji
    for preset in ('social','robertuito','bertweet'):
        rules = Rules(preset)
        assert max(len(rules(o))/len(o) for o in emoji.EMOJI_DATA)<60

# Mojibake

broken = ['cafÃ© â€“ naÃ¯ve', 'é cafÃ© ñ', 'Ã\xa0 la carte', 'voilÃ le travail', 'ÃƒÂ©tÃƒÂ©', 'Ð¿Ñ€Ð¸Ð²ÐµÑ‚ all', 'ðŸ˜€ ok', 'â€œso â€” whatâ€\x9d', 'l\x92Ã©tÃ©', 'Ã©\n\nÃ¼ber', 'fÃ¼r und für', 'æ—¥æœ¬', 'Ã', 'â€', 'plain', '\ud83d\ude00 Ã©', 'Â£5 and Â©']

@pytest.mark.parametrize('text', broken)
def test_mojibake(text):
    "The text as a whole and its edits agree with `ftfy`, and offsets lead back to the bytes"
    import ftfy
    whole = rule('mojibake')(text)
    assert whole==apply_edits(text, rule('mojibake').edits(text))=='\n'.join(map(ftfy.fix_encoding, text.split('\n')))
    new,starts = Rules(['mojibake']).mapped(text)
    assert new==whole and starts==sorted(starts) and starts[-1]==len(text)

@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from('aéñ日п😀– ’\n'), max_size=30).map(''.join), st.sampled_from(['latin-1','windows-1252']))
def test_bytes_lead_back(text, encoding):
    "Each character of a text that was decoded wrongly leads back to its bytes"
    wrong = text.encode().decode(encoding, 'replace')
    edits = byte_edits(wrong, text)
    assert apply_edits(wrong, edits)==text
    starts = edit_starts(len(wrong), edits)
    for i,o in enumerate(text): assert back_span(starts, i, i+1)==(len(text[:i].encode()),len(text[:i+1].encode()))

def test_no_alignment_without_need(monkeypatch):
    "Who asks for no offsets pays for none"
    def fail(*args): raise AssertionError('aligned')
    for o in ('mojibake_edits','line_edits','align_edits','byte_edits'): monkeypatch.setattr(f'toxicai.text.rules.{o}', fail)
    assert Rules('light')('cafÃ© Ã¼ber '*100)=='café über '*100

adversarial = {'mojibake lines':'xÃ©'*79+'\n', 'mojibake':'Ã©', 'mixed':'é Ã© â€™ ', 'lossy':'Ã ', 'twice':'ÃƒÂ© é', 'marks':'a\u0301\u0316\u0320', 'zero width':'f\u200bu\u200bc\u200bk', 'entities':'&amp;amp;', 'leet':'a16!|1!6b ', 'spaced':'f u c k ', 'dotted':'f.u.c.k.', 'stars':'f***k ',
    'joined':'youareanidiot', 'rtl':'\u202eשלום ', 'html':'<b>x</b><', 'cyrillic':'fucк КІLL ', 'lisu':'foꓳꓳl ', 'fonts':'𝓯𝓾𝓬𝓴 ', 'emoji':'😀🇺🇸👩‍💻', 'handles':'@ab ', 'camel':'fUcK ', 'stretched':'fuuuuck '}

@pytest.mark.slow
@pytest.mark.parametrize('kind', adversarial)
def test_linear(kind):
    "Twice the text takes about twice the steps in every preset, offsets included: calls of Python's functions are counted, not time"
    piece = adversarial[kind]
    for preset in ('light','social','strict','bertweet'):
        rules = Rules(preset)
        rules((piece*200)[:1000])
        a,b = (count_calls(lambda: rules.mapped((piece*n)[:n])) for n in (8_000,32_000))
        assert b<=6*a+2000, (preset,a,b)

def count_calls(f):
    n = 0
    def tick(frame, event, arg):
        nonlocal n
        n += 1
    sys.setprofile(tick)
    try: f()
    finally: sys.setprofile(None)
    return n

@pytest.mark.parametrize('text', ['sois idiotas y malos', 'gilipollas y un tonto', 'una puta y una zorra', 'mierda y nada', 'los bastardos', 'es un ass y eso', 'puta o zorra', 'pendejos e idiotas', 'estúpidos'])
def test_spanish_stays(text):
    "Words of a Spanish sentence are neither glued together nor cut in two"
    assert Rules('strict', lang='es')(text)==text

@pytest.mark.parametrize('lang,typed,meant', [
    ('es','eres un g.i.l.i.p.o.l.l.a.s y un tonto','eres un gilipollas y un tonto'), ('es','t.o.n.t.o.s','tontos'), ('es','i-d-i-o-t-a-s y','idiotas y'),
    ('es','un 1d10ta','un idiota'), ('es','1mb3c1l','imbecil'), ('es','m13rd4','mierda'), ('es','c a b r ó n','cabrón'),
    ('en','a-s-s','ass'), ('en','a.s.s','ass'), ('en','such i.d.i.o.t.s and','such idiots and'), ('en','sh-t','shit'), ('en','ok f*ck','ok fuck')])
def test_spelt_out(lang, typed, meant): assert Rules('strict', lang=lang)(typed)==meant
