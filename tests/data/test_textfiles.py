"Files as they come: the same content through `load_comments` and `from_csv`, or the same error with what to do"
import csv,io,zipfile

import pandas as pd,pytest
from toxicai.data.all import *
from toxicai.data.rows import *
from toxicai.streams import *
from toxicai.data.textfiles import *
from toxicai.test_utils import comments,tiny_checkpoint

ck = tiny_checkpoint()
texts = ['you fool, go', 'good day', "it's fine; really", 'a "quoted" word', 'two\nlines', 'one\rreturn', 'tab\there', 'C:\\dir\\', 'ñandú 😀', '007']
labels = ['rude','kind']*5

def rows_as(sep=',', quote='"', end='\n', escape=None, header=True, before='', ends='\n'):
    "The file that others write"
    f = io.StringIO(newline='')
    how = dict(escapechar=escape, doublequote=False) if escape else {}
    w = csv.writer(f, delimiter=sep, quotechar=quote, lineterminator=ends, quoting=csv.QUOTE_ALL, **how)
    if header: w.writerow(['id','text','label'])
    w.writerows(zip(range(10), texts, labels))
    return (before+f.getvalue()).encode()

cols = ['id','text','label']
good = {
    'plain': (rows_as(), {}), 'Windows': (rows_as(ends='\r\n'), {}), 'old Mac': (rows_as(ends='\r'), {}),
    'Excel says semicolon': (rows_as(';', before='sep=;\r\n', ends='\r\n'), {}), 'Excel says tab, in quotes': (rows_as('\t', before='"sep=\t"\n'), {}),
    'Excel with a mark': (b'\xef\xbb\xbf'+rows_as(';', before='sep=;\n'), {}), 'Excel, without a header': (rows_as(';', before='sep=;\n', header=False), dict(names=cols)),
    'Excel, delimiter given': (rows_as('|', before='sep=|\n'), dict(delimiter='|')),
    'single quotes': (rows_as(quote="'"), dict(quotechar="'")), 'backticks': (rows_as(quote='`', sep=';'), dict(quotechar='`')),
    'backslashes': (rows_as(escape='\\'), dict(escapechar='\\')), 'backslashes and single quotes': (rows_as(quote="'", escape='\\'), dict(quotechar="'", escapechar='\\')),
    'no header': (rows_as(header=False), dict(names=cols)), 'no header, said': (rows_as(header=False), dict(names=cols, header=None)),
    'names for a header': (rows_as(), dict(names=cols, header=0)), 'UTF-16': (rows_as().decode().encode('utf-16'), {}), 'Latin-1': (rows_as().decode().replace('😀','').encode('latin-1'), dict(encoding='latin-1'))}

def frames(path, **options):
    "What both doors read"
    c = load_comments(path, text_col='text', label_cols='label', **options)
    dls = ToxicityDataLoaders.from_csv(path, ck, bs=2, valid_pct=.3, **options)
    df = pd.concat([dls.train_ds.items, dls.valid_ds.items]).sort_index()
    return c.to_frame(),df

@pytest.mark.parametrize('name', good)
def test_doors(name, tmp_path):
    content,options = good[name]
    (tmp_path/'a.csv').write_bytes(content)
    want = [o.replace('😀','') for o in texts] if name=='Latin-1' else texts
    for df in frames(tmp_path/'a.csv', **options): assert df.text.tolist()==want and df.label.tolist()==labels

def zipped(path, files):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as z:
        for k,v in files.items(): z.writestr(k, v)
    return path

def buffer(write):
    f = io.BytesIO()
    write(f)
    return f.getvalue()

table = pd.DataFrame(dict(id=range(10), text=texts, label=labels))
in_zip = {
    'CSV': ('a.zip', {'train.csv':rows_as()}, ''), 'called csv.zip': ('a.csv.zip', {'other.csv':rows_as()}, ''), 'called CSV': ('a.csv', {'x.csv':rows_as()}, ''),
    'beside a README': ('a.zip', {'README.md':'x', 'a/b.csv':rows_as(), '__MACOSX/b.csv':'x'}, ''), 'TSV': ('a.zip', {'x.tsv':rows_as('\t')}, ''),
    'JSON lines': ('a.zip', {'x.jsonl':table.to_json(orient='records', lines=True)}, ''), 'Parquet': ('a.zip', {'x.parquet':buffer(table.to_parquet)}, ''),
    'Feather': ('a.zip', {'x.feather':buffer(table.to_feather)}, ''), 'one of several': ('a.zip', {'train.csv':rows_as(), 'test.csv':'text,label\na,b\n'}, '/train.csv'),
    'in a folder of several': ('a.zip', {'d/train.csv':rows_as(), 'd/test.csv':'text,label\na,b\n'}, '/d/train.csv')}

@pytest.mark.parametrize('name', in_zip)
def test_zip(name, tmp_path):
    file,files,inside = in_zip[name]
    zipped(tmp_path/file, files)
    for df in frames(f'{tmp_path/file}{inside}'): assert df.text.tolist()==texts and df.label.tolist()==labels

def test_zip_is_read_anew(tmp_path):
    "The table that is kept belongs to the archive as it was"
    zipped(tmp_path/'a.zip', {'x.csv':'text,label\na,x\nb,y\n'})
    assert load_comments(tmp_path/'a.zip')['text'][:]==['a','b']
    zipped(tmp_path/'a.zip', {'x.csv':'text,label\nc,x\nd,y\nmore,y\n'})
    assert load_comments(tmp_path/'a.zip')['text'][:]==['c','d','more']

def file(content): return lambda p: (p/'a.csv').write_bytes(content.encode() if isinstance(content, str) else content) and p/'a.csv'
def rows(f, header='text,label\n', n=12): return file(header+''.join(f(i)+'\n' for i in range(n)))
def word(i): return 'rude' if i%2 else 'kind'

bad = {
    'a comma in each text': (rows(lambda i: f'you fool, {i},{word(i)}'), {}, 'row 0 has 3', 'quote texts that contain the delimiter'),
    'an id without a name': (rows(lambda i: f'{i},you fool,{word(i)}'), {}, 'row 0 has 3', "`header=0, names=['row', 'text', 'label']`"),
    'single quotes and commas': (rows(lambda i: f"'you, fool {i}',{word(i)}"), {}, 'row 0 has 3', '''`quotechar="'"`'''),
    'single quotes, second column': (rows(lambda i: f"{word(i)},'you, fool {i}'", 'label,text\n'), {}, '''`quotechar="'"`'''),
    'single quotes alone': (rows(lambda i: f"'you fool {i}',{word(i)}"), {}, "column 'text' stands in quotes", '''`quotechar="'"`''', 'csv.QUOTE_MINIMAL'),
    'single quotes, header too': (rows(lambda i: f"'you fool {i}','{word(i)}'", "'text','label'\n"), {}, '''`quotechar="'"`'''),
    'a return in a text': (rows(lambda i: f'you\rfool {i},{word(i)}'), {}, 'row 0 has 1', 'or a line end'),
    'backslashes': (rows(lambda i: rf'"a {i}\" pipe",{word(i)}'), {}, 'a backslash stands before a quote', r"`escapechar='\\'`"),
    'backslashes and commas': (rows(lambda i: rf'"so \"{i}\", he said",{word(i)}'), {}, 'backslash'),
    'an escape in the last row': (file('text,label\n'+'fine,kind\n'*30000+r'"a 2\" pipe",rude'+'\n'), {}, 'a backslash stands before a quote'),
    'commas escaped': (rows(lambda i: rf'you\, fool {i},{word(i)}'), {}, r"`escapechar='\\'`"),
    'no header': (rows(lambda i: f'you fool {i},{word(i)}', ''), {}, "no column 'text'", 'looks like a row', "`names=['text', 'label']`"),
    'Sentiment140': (rows(lambda i: f'"{i%2*4}","146781{i}","Mon Apr 06","NO_QUERY","user{i}","text {i}"', ''), {}, 'looks like a row', "['text', 'label', 'column_2'"),
    'header and names': (rows(lambda i: f'fool {i},{word(i)}', 'Text,Label\n'), dict(names=['text','label']), 'pass `header=0`'),
    'too few names': (rows(lambda i: f'fool {i},{word(i)},x', 'text,label,more\n'), dict(names=['text','label']), '`names` are 2, but', 'expected a name for each'),
    'two quotechars': (rows(lambda i: 'a,b'), dict(quotechar='""'), '`quotechar` is', 'one ASCII character'),
    'an odd header': (rows(lambda i: 'a,b'), dict(header=2), '`header` is 2', 'expected 0'),
    'capitals': (rows(lambda i: f'fool {i},{word(i)}', 'TEXT,LABEL\n'), {}, "did you mean 'TEXT'?"),
    'two tables': (lambda p: zipped(p/'a.zip', {'a.csv':'text\n', 'b.csv':'text\n'}), {}, "holds 2 files ['a.csv', 'b.csv']", "name one of them, as in 'a.zip/b.csv'"),
    'no table': (lambda p: zipped(p/'a.zip', {'a.md':'x', 'b.txt':'y'}), {}, 'has no table'), 'an empty archive': (lambda p: zipped(p/'a.zip', {}), {}, 'expected a table in it'),
    'not in the archive': (lambda p: zipped(p/'a.zip', {'a.csv':'text\n'})/'c.csv', {}, "no 'c.csv' in 'a.zip'", "expected one of ['a.csv']"),
    'Excel': (lambda p: zipped(p/'a.csv.zip', {'[Content_Types].xml':'x', 'xl/a.xml':'y'}), {}, 'is an Excel file', 'pd.read_excel'),
    'half an archive': (lambda p: (p/'a.zip').write_bytes(zipped(p/'b.zip', {'a.csv':rows_as()}).read_bytes()[:100]) and p/'a.zip', {}, 'zip archive that is damaged', 'fetch it again')}

@pytest.mark.parametrize('door', ['load_comments','from_csv'])
@pytest.mark.parametrize('name', bad)
def test_bad(name, door, tmp_path):
    make,options,*says = bad[name]
    path = make(tmp_path)
    f = dict(load_comments=lambda **kw: load_comments(path, text_col='text', label_cols='label', **kw), from_csv=lambda **kw: ToxicityDataLoaders.from_csv(path, ck, **kw))[door]
    with pytest.raises((ValueError,KeyError,FileNotFoundError)) as e: f(**options)
    for o in says: assert o in str(e.value.args[-1]), str(e.value)

def test_what_is_read_as_it_is(tmp_path):
    "Who says what quotes are gets them; ordinary texts with backslashes and single quotes are no escapes"
    path = rows(lambda i: rf'"a {i}\" pipe",{word(i)}')(tmp_path)
    assert len(load_comments(path, quoting=csv.QUOTE_MINIMAL))==12
    assert load_comments(path, escapechar='\\')['text'][0]=='a 0" pipe'
    fine = ['\'tis fine', r'C:\dir\"', '""', r'a 5\" pipe', "'so", r'he said ""so\"" twice', "rock 'n' roll"]
    pd.DataFrame(dict(text=fine, label=[word(i) for i in range(7)])).to_csv(tmp_path/'b.csv', index=False)
    assert load_comments(tmp_path/'b.csv')['text'][:]==fine

def test_header_hint_is_no_obstacle(tmp_path):
    "A column of the name of one of its values, numbers for names, and long names are headers"
    for head,text,label in (('text,toxic','text','toxic'), ('0,1','0','1'), ('what did they say to you,4','what did they say to you','4')):
        path = rows(lambda i: f'fool {i},{["toxic","clean"][i%2]}', head+'\n')(tmp_path)
        assert len(load_comments(path, text_col=text, label_cols=label))==12

def test_empty_cells(tmp_path):
    "An empty cell is an empty text, which is counted; whoever leaves out rows without a text leaves it out"
    path = file('text,label\nfine,kind\n,rude\n  ,kind\nfool,rude\nwell,kind\nyou,rude\n')(tmp_path)
    c = load_comments(path)
    assert len(c)==6 and c.report['texts that are empty']==2
    few = load_comments(path, drop_missing=True)
    assert few['text'][:]==['fine','fool','well','you'] and few.report=={'rows without a text left out':2}
    with pytest.warns(UserWarning, match='1 of 6 texts .* are empty.*drop_missing=True'): ToxicityDataLoaders.from_csv(path, ck, bs=2, valid_pct=.4)

@pytest.mark.parametrize('ending', ['csv','tsv','csv.gz','jsonl','json','parquet','feather'])
def test_formats(ending, tmp_path):
    "`from_csv` takes what `load_comments` takes, and other columns are the same numbers"
    df = comments(40).assign(stars=[1.5,2]*20, is_valid=[True]*8+[False]*32)
    write = dict(csv=lambda p: df.to_csv(p, index=False), tsv=lambda p: df.to_csv(p, sep='\t', index=False), jsonl=lambda p: df.to_json(p, orient='records', lines=True),
                 json=lambda p: df.to_json(p, orient='records'), parquet=df.to_parquet, feather=df.to_feather)
    write[ending.removesuffix('.gz')](tmp_path/f'a.{ending}')
    with pytest.warns(UserWarning, match='8 of 8 validation texts are in the training rows too'):
        dls = ToxicityDataLoaders.from_csv(tmp_path/f'a.{ending}', ck, bs=8, label_cols=['toxic','insult'], valid_col='is_valid', weight_col='stars')
    assert list(dls.valid_ds.items.index)==list(range(8)) and dls.train_ds.items.stars.tolist()==df.stars[8:].tolist()
    assert dls.train.row_weights.tolist()==df.stars[8:].tolist() and dls.vocab==['toxic','insult']

def test_other_columns(tmp_path):
    "Numbers become numbers where that loses nothing"
    file('text,label,zip,n,share,note\nfine,kind,01234,1,.5,\nfool,rude,99999,,1e-3,x\nso,kind,5,3,-2,y\nwhat,rude,6,4,0.25,z\n')(tmp_path)
    df = rows_frame(open_rows(tmp_path/'a.csv'), ['text','label'])
    assert df.zip.tolist()==['01234','99999','5','6'] and df.share.tolist()==[.5,.001,-2,.25] and df.n.isna().tolist()==[False,True,False,False] and df.note.tolist()==['','x','y','z']

def test_files_that_are_splits(tmp_path):
    for o in ('train','test'): comments(12).to_csv(tmp_path/f'{o}.csv', index=False)
    with pytest.raises(ValueError, match='are splits by their names.*load_comments'): ToxicityDataLoaders.from_csv(tmp_path, ck)

foreign = {'sep': 'pass `delimiter`', 'delim': 'pass `delimiter`', 'seperator': '', 'quote_char': 'pass `quotechar`', 'colnames': 'pass `names`'}

@pytest.mark.parametrize('name', foreign)
def test_foreign_options(name, tmp_path):
    path = file('text,label\na,b\n')(tmp_path)
    for f in (load_comments, lambda p, **kw: ToxicityDataLoaders.from_csv(p, ck, **kw)):
        with pytest.raises(TypeError, match=f'takes no `{name}`.*{foreign[name]}'): f(path, **{name:','})
