"In which language texts are: alone, together, mixed, and on real data where they are there"
import os,subprocess,sys

import pandas as pd,pytest
from toxicai.text.language import *

rows = dict(en=["The bus was late again this morning","nobody told me that","what a lovely photo of the lake","I would not do that"],
    es=["El autobús llegó tarde otra vez","nadie me lo había dicho","qué foto tan bonita del lago","yo no haría eso nunca"],
    fr=["Le bus est encore arrivé en retard","personne ne me l'avait dit","quelle belle photo du lac","moi, je ne ferais jamais ça"],
    de=["Der Bus kam heute früh wieder zu spät","das hat mir niemand gesagt","was für ein schönes Bild vom See","das würde ich nie tun"],
    ko=["오늘 아침에도 버스가 늦게 왔어요","아무도 나에게 말하지 않았다","호수 사진이 정말 아름답네요"])

@pytest.mark.parametrize('lang', rows)
def test_data_language(lang):
    "Also of pairs, in capitals, and with a few rows of another language"
    texts = rows[lang]
    assert data_language(texts)==lang and data_language([tuple(texts[:2]),tuple(texts[1:3])])==lang
    assert data_language(pd.Series(texts*20+rows['es' if lang!='es' else 'en'], index=range(7, 7+len(texts)*20+4)))==lang

@pytest.mark.parametrize('texts', [[], [''], ['ok'], ['12345 67890']*50, ['lol','xd'], rows['en']*9+rows['es']*9, [o for p in zip(rows['en'], rows['es']) for o in p]*9, ['\ud800']])
def test_undetermined(texts): assert data_language(texts)=='und'

def test_ask():
    assert language_for('es', rows['en'], ['en','es'], 'x')=='es'
    for lang,texts,match in [(None, None, r"say which, `lang='en'`"), (None, rows['de'], "no x for 'de', and the texts are in 'de'"), ('pt', rows['en'], "`lang` is 'pt'")]:
        with pytest.raises(ValueError, match=match): language_for(lang, texts, ['en','es'], 'x')

def test_loaded_when_asked():
    "Neither the room nor the wing reads the table of languages"
    code = "import sys,toxicai.text.all,toxicai.text.language as l; print('py3langid' in sys.modules); l.data_language(['x']); print('py3langid' in sys.modules)"
    assert subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=True).stdout.split()==['False','False']

real = [('offendes_es','text','es'),('detoxis_es','text','es'),('davidson','text','en'),('hatexplain','text','en'),('germeval2018_de','text','de'),('told_br_pt','text','pt'),
    ('cold_zh','text','zh'),('korean_beep','text','ko'),('convabuse','text','en'),('ruhsold_roman_urdu','text','und'),('jigsaw_multilingual_es_fr','text','und')]

@pytest.mark.skipif('TOXICAI_DATA' not in os.environ, reason='needs the folder TOXICAI_DATA')
@pytest.mark.parametrize('name,col,lang', real)
def test_real(name, col, lang):
    "Tweets with slang and user names, too; Urdu in Latin letters is none that the model knows"
    df = pd.read_parquet(f"{os.environ['TOXICAI_DATA']}/{name}.parquet")
    if name=='jigsaw_multilingual_es_fr': df = pd.concat([g.head(300) for _,g in df.groupby('lang')])
    assert data_language(df[col])==lang
