"Stars inside swear words, and placeholders for what leads to a person: what is masked, what is not, and that nothing else changes"
import os,re

import pandas as pd,pytest
from hypothesis import given,settings,strategies as st
from toxicai.text.evasion import swear_words
from toxicai.text.masking import *

@pytest.mark.parametrize('case', [str, str.upper, str.capitalize])
@pytest.mark.parametrize('frame', ['{}','you {}!','"{}", he said'])
def test_every_word(case, frame):
    "Each word of the list, at the edges and inside a text; first and last letter stay"
    for o in map(case, masked_words):
        before,after = frame.split('{}')
        assert mask_words(frame.format(o))==before+o[0]+'*'*(len(o)-2)+o[-1]+after

def test_forms():
    assert set(swear_words)<=set(masked_words)
    for a,b in {'bitches':'b*****s', "bitch's":"b***h's", 'maricones':'m*******s', 'PENDEJAS':'P******S', 'asses':'a***s'}.items(): assert mask_words(a)==b

innocent = ["Scunthorpe", "a class assessment", "Dickens", "cocktail", "shiitake", "the Essex team", "passage", "grapefruit", "", " \n", "no hay de qué", "moronas de pan", "se ha desmoronado", "le retardataire"]

@pytest.mark.parametrize('text', innocent)
def test_innocent(text): assert mask_words(text)==text

hidden = {"f u c k you":"f * * k you", "sh1t":"s**t", "b!tch":"b***h", "fuuuck":"f****k", "fu\u200bck":"f***k", "a<b>fuck</b>":"a<b>f**k</b>",
          "@fuckface":"@f**kface", "fuckyou2":"f**kyou2", "mierda":"m****a", "maricón":"m*****n", "marico\u0301n":"m******n"}

@pytest.mark.parametrize('text', hidden)
def test_hidden(text): assert mask_words(text)==hidden[text]

def test_combining_mark_stays_on_its_letter():
    text = 'f\u0338u\u0338c\u0338k\u0338'
    assert mask_words(text)=='f'+'\u0338'.join(['']*1)+mask_words(text)[1:-2]+'k\u0338' and len(mask_words(text))==len(text)

def test_own_words():
    assert mask_words("A Muggle, two muggles, mugglex; fuck", ['Muggle'])=="A M****e, two m*****s, mugglex; fuck"
    assert mask_words("white trash here", ['white trash'])=="w**** ****h here"
    assert mask_words("a.c and abc", ['a.c'])=="a*c and abc"
    assert mask_words("fuck", [])=="fuck"

@given(st.text(max_size=60) | st.lists(st.sampled_from([*masked_words[:40],'fine','day','!','*',' ','f.u','ck'])).map(' '.join))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_text(text):
    "Same length; only stars are new; masking twice is masking once; spans are in order"
    res,spans = mask_words(text),swear_spans(text)
    assert len(res)==len(text)
    assert all(a==b or b=='*' for a,b in zip(text, res))
    assert mask_words(res)==res
    assert all(a<b for a,b in spans) and all(p[1]<=q[0] for p,q in zip(spans, spans[1:]))

@pytest.mark.parametrize('bad,words,error', [(None,None,TypeError), (["a"],None,TypeError), ("a","word",TypeError), ("a",[1],ValueError), ("a",[' '],ValueError)])
def test_bad(bad, words, error):
    with pytest.raises(error, match='expected'): mask_words(bad, words)

# Languages

masked = {'en':'shitty shittier shithead shitheads shithole bullshitting dumbasses arsehole motherfucking sniggernigger goddamn shitposting horseshit',
    'es':'mierda mierdas gilipollas cabrones cabrona pendeja pendejos jodidas coño coños maricones putísima imbeciles estupidas idiotas hijoputa cojones comemierda chingada',
    'fr':'merde putains connard connards connasse enculé encules salope salopes bâtard batards conneries emmerdant couilles enfoirés pédé abrutis',
    'de':'Scheiße scheißegal Arschloch Arschlöcher arschkriecher Hurensohn Hurensöhne Wichser Fotze Schlampen Missgeburt beschissener verarscht vollidioten Schwuchteln klugscheisser',
    'it':'cazzo cazzi stronzo stronza stronzi merda puttane vaffanculo coglioni bastarda minchia frocio', 'pt':'caralho porra merda foda fodidos cuzão cuzao viado filhodaputa arrombados punheteiro babacas otarios desgraçado',
    'ru':'блядь бляди сука хуй хуйня пиздец распиздяй ебать ёбаный мудаки долбоёб пидорас говно дерьмовый жопа', 'tr':'orospu orospular siktir piç amk yarrak ibneler kahpe', 'ko':'씨발놈 병신같은 개새끼야 지랄하네 좆같은 존나',
    'zh':'你个傻逼 他妈的 王八蛋 绿茶婊 贱人', 'ar':'شرموطة عاهرة', 'ur':'madarchod bhenchod chutiya bhosdike haramzada'}

@pytest.mark.parametrize('lang', masked)
def test_languages(lang):
    "Inflected and compounded words of each language, in either case; `test_innocent` has those that only look like one"
    for o in masked[lang].split():
        for case in (o, o.upper() if 'ß' not in o and 'ç' not in o and lang!='tr' else o, f'so: {o}!'): assert '*' in mask_words(case), case

harmless = ['an assassin of the class in Essex','analysis of a cockpit','Charles Dickens','shiitake soup in Sussex','he sniggered','a sniggering crowd','niggardly','Penistone','a passionate bassist','spices of the world','the title of the cocktail',
    'Matsushita and Takeshita','arsenal of arsenic','traffickers in court','a shuttlecock','con mucho gusto','le train est en retard','un pique-nique','la bise anglaise','une douche froide','cul-de-sac',
    'ein dickes Buch','Marsch und Barsch','die Fleischerei','Hochschule','schlampig','der Fleck','bellende Hunde','wog drei Kilo','un año nuevo','el cono de helado','la computadora','disputa','reputación','ele pede ajuda',
    'ele pede um favor','deputado','o computador','folla di gente','burro e pane','la scuola di Mongolia','колебание','страна','мандарин','педикюр','хулиган','схуднуть','de joden in Nederland','een huis huren','got a pic','mal dia','시발점','동물의 새끼','你妈的手机']

@pytest.mark.parametrize('text', harmless)
def test_harmless(text): assert mask_words(text)==text

def test_tables_are_apart():
    "No word is listed as innocent and swear word, none twice in one language; tables are all in lower case"
    for t in swear_tables.values():
        for what in ('whole','begin','anywhere','innocent'): assert all(o==o.lower() and o.strip() for o in table_words(t, what))
        assert not set(table_words(t, 'innocent')) & set(table_words(t, 'whole'))
    assert set(all_words('whole'))<=set(masked_words) and len(set(masked_words))==len(masked_words)

# Ordinary words

real_clean = [('jigsaw_multilingual_es_fr','toxic','es'),('jigsaw_multilingual_es_fr','toxic','fr'),('jigsaw_multilingual_valid_half','toxic','it'),('jigsaw_multilingual_valid_half','toxic','tr'),
    ('germeval2018_de','offensive',None),('told_br_pt','toxic_any',None),('korean_beep','toxic',None),('cold_zh','offensive',None),('ruhsold_roman_urdu','offensive',None)]

@pytest.mark.skipif('TOXICAI_DATA' not in os.environ, reason='needs the folder TOXICAI_DATA')
@pytest.mark.parametrize('name,col,lang', real_clean)
def test_no_ordinary_word(name, col, lang):
    "In real comments of each language, what is masked often is said in toxic ones: a harmless word would be as frequent in all"
    df = pd.read_parquet(f"{os.environ['TOXICAI_DATA']}/{name}.parquet")
    df = (df if lang is None else df[df.lang==lang]).head(3000)
    pat,seen = words_pattern(masked_words),{}
    for text,bad in zip(df.text, df[col]>0):
        for o in {m[0].lower() for m in pat.finditer(text)}: seen.setdefault(o, []).append(bad)
    often = {k:sum(v)/len(v) for k,v in seen.items() if len(v)>4}
    assert not {k:v for k,v in often.items() if v<(df[col]>0).mean()/2}

# What leads to a person

traced = {'vandal 192.0.2.20 again':'vandal [ip] again', '(203.0.113.7:8080)':'([ip])', 'block 198.51.100.0/24!':'block [ip]!', 'IP:192.0.2.1':'IP:[ip]', '192.0.2.xxx (talk)':'[ip] (talk)', '2001:db8::ff00:42:8329':'[ip]', 'at FE80::1%eth0, then':'at [ip], then',
    '2001:0db8:85a3:0000:0000:8a2e:0370:7334 said':'[ip] said', '::ffff:192.0.2.1':'[ip]', '00:1A:2B:3C:4D:5E':'[ip]', 'call +1 555 010-0199':'call [phone]', '(555) 010-0199.':'[phone].', '555-010-0199':'[phone]', 'Tel. 030 12345678':'Tel. [phone]', '0171/1234567':'[phone]',
    'mon 06 12 34 56 78 svp':'mon [phone] svp', '+49 (0)30 901820':'[phone]', '0044 20 7946 0018':'[phone]', 'text me at 5550100':'text me at [phone]', 'whatsapp: 612 345 678':'whatsapp: [phone]', '+86 138 0013 8000':'[phone]', '020 7946 0018':'[phone]',
    'u/some_user said':'@user said', '/u/some-user':'@user', 'see r/some_place':'see [group]', '[[User:Foo|Foo]] (talk)':'[user] (talk)', '[[User talk:Foo bar#x|talk]]':'[user]', '[[:de:Benutzer:Foo]]':'[user]', '[[Special:Contributions/Foo]]':'[user]', '{{ping|Foo}} hi':'[user] hi',
    'User:Foo_bar did':'[user] did', 'User:Ann Example, you':'[user], you', '[[Участник:Фу]]':'[user]', '＠user hi':'@user hi', '@имя_2':'@user', '.@bob x':'.@user x', '@some.one':'@user', '@a-b.bsky.social':'@user', '@user@ex.social':'@user', '@me:matrix.example.org':'@user',
    'ｈttp://ex.am/ple':'[link]', 'ｈｔｔｐｓ：／／ｅｘ．ａｍ/x':'[link]', 'ftp://ex.am/ple':'[link]', 'www.example.org/x?y=1':'[link]', 'a.b+c@ex.co.uk':'[mail]', 'ann＠ex.org':'[mail]', 'ann [at] ex [dot] org':'[mail]', 'ann(at)ex.org':'[mail]', 'mailto:ann@ex.org':'mailto:[mail]',
    'name#1234 on':'[user] on', 'IG: @some.one':'IG: @user', 'ig: some_one':'ig: [user]', 'my insta is some.one':'my insta is [user]', 'Snap: an_na99':'Snap: [user]', 'Discord: bob.77':'Discord: [user]', 'DE00 0000 0000 0000 0000 00':'[account]', 'GB29NWBK60161331926819':'[account]',
    '4111 1111 1111 1111':'[account]', '078-05-1120':'[account]', '&#64;bob':'@user', '@bo\u200bb and':'@user and', 'ann&#64;ex.org':'[mail]', '1\u200b92.0.2.20':'[ip]'}

@pytest.mark.parametrize('text', traced)
def test_traces(text): assert mask_traces(text)==traced[text]

untraced = ['v1.2.3.4','version 1.2.3.4','Version: 2.0.0.1','Chrome 96.0.0.1','Windows 10.0.0.1','§ 1.2.3.4','1.2.3','10.0.19041.1','on 2026-11-20','20.11.2026','11/20/2026','at 10:30','10:30:45','12:30:45:10','3-0','won 6-4, 3-6, 7-5','1939-1945','1,000,000','$1,000.50','3.14159','100 000 000 euros',
    'C#','C# 1234','F#','#1234','issue#1234','bug #1234','PR#1234','c# and a#1','std::vector','Face::Bad','a::b','::','John 3:16','1:2:3','ratio 16:9','and/or','r/w','u/s','3000 r/min','he/she','n/a','I/O','10 km/h','@ 5pm','@5pm','3 @10','meet @10am','a @ b','f@ck','sh@t','s#@t','x@y',
    'IG: the','IG is down','Discord: the server is down','Twitter: what a mess','user: hello there','the user said','talk:','ISBN 978-3-16-148410-0','0800','911','call 911','call me maybe','text 12345','call 2026-11-20','page 123-4567','+1','+100%','2+2=4','0.5','007','12 34 56','US20','BB84 MUST HAVE BEEN GOOD FOR ALL','[[Main Page]]','{{cite web|url}}','a [at] b','deadbeef','1e10','5000 6000','H2O','A4','2001: A Space Odyssey','room 12:30 pm','0-0','1/2','e.g.','i.e.','12.5.','3.x','the net.','U.S.A.']

@pytest.mark.parametrize('text', untraced)
def test_no_trace(text): assert mask_traces(text)==text

@given(st.text(max_size=60) | st.lists(st.sampled_from([*traced][:40]+['fine','day','@',':','.','1','::',' ','&#','\u200b','＠','a'])).map(' '.join))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_trace(text):
    "Masked twice is masked once, and what is not masked stays as it was typed"
    res = mask_traces(text)
    assert mask_traces(res)==res
    for o in regex_pieces(res): assert o in text

def regex_pieces(text): return [o for o in re.split(r'@user|\[(?:mail|link|user|group|account|ip|phone)\]', text) if o]

@pytest.mark.parametrize('piece', ['a','1','a@','@','1.','1:','a:',':','+1','0 ','00','(','[[','[[User:','{{u|','u/','http://','A1','AA11 ','1-','ig: ','call 1','my ','a#','user:','x.','a.b@','&#64;','＠'])
def test_traces_of_long_texts(piece):
    "100,000 characters of one sort take no more than a moment: a pattern that backtracks would not come back"
    assert isinstance(mask_traces((piece*100_000)[:100_000]), str)
