"Detectors in wheels: what a name means, what is listed and hashed, folders with int8 alone, scores that are repeated, training from the weights"
import copy,json,os,pickle,shutil,subprocess,sys
from dataclasses import replace
from pathlib import Path

import numpy as np,pytest,torch
from toxicai.all import *
from toxicai.serve import packaged as room
from toxicai.serve.detector import decision_settings,foreign_languages
from toxicai.serve.folder import change_meta,check_files,folder_digests,migrated,relist_files,write_meta
from toxicai.serve.packaged import (PackagedFolder,check_scores,probe_texts,detector_path,packaged_detectors,packaged_table,
                                    weights_path)
from toxicai.train.export import pack_detector,pack_weights
from toxicai.test_utils import *

some = ['you are an idiot', 'thank you for the quick answer', '', 'moron '*200]
classes = ['toxic','severe_toxic','obscene','threat','insult','identity_attack']

def learner(checkpoint=None, label_cols=('toxic','insult'), df=None, **kw):
    df = comments() if df is None else df
    return toxicity_learner(ToxicityDataLoaders.from_df(df, checkpoint, text_col='text', label_cols=list(label_cols), bs=8, **kw))

@pytest.fixture(scope='module')
def learn():
    "One with six classes, as the real one has them"
    df = comments(48)
    for i,o in enumerate(classes): df[o] = ((df.index//2+i)%3==0).astype(int)
    learn = learner(tiny_checkpoint(), classes, df, rules=['nfc','spaces'])
    with learn.no_bar(),learn.no_logging(): learn.fit(1, 1e-2)
    return learn

@pytest.fixture(scope='module')
def saved(learn, tmp_path_factory):
    for o in ('onnx','onnxruntime','onnxscript'): pytest.importorskip(o)
    return learn.save_detector(tmp_path_factory.mktemp('saved')/'tiny', onnx=True)

uses = dict(cautious={o:dict(threshold=0.9, precision=0.8, recall=0.3, false_positive_rate=0.01) for o in classes})

@pytest.fixture(scope='module')
def packed(saved, tmp_path_factory):
    (licence := saved.parent/'LICENCE.txt').write_text('Do what you like')
    return pack_detector(saved, tmp_path_factory.mktemp('packed')/'english', 'english', '1.2.0', uses, ['en'],
                         licences=[licence], about='Invented comments.', license='apache-2.0')

@pytest.fixture
def work(tmp_path, monkeypatch):
    "An empty folder to work in"
    (tmp_path/'work').mkdir()
    monkeypatch.chdir(tmp_path/'work')
    return tmp_path/'work'

@pytest.fixture
def wheels(packed, saved, tmp_path, monkeypatch, work):
    "Packages as the wheels install them, with tiny networks in them"
    for package,src in (('tiny_core',packed), ('toxicai_multilingual',packed), ('toxicai_weights',None)):
        home = tmp_path/'site'/package
        home.mkdir(parents=True)
        (home/'__init__.py').touch()
        name = 'multilingual' if package=='toxicai_multilingual' else 'english'
        if src: shutil.copytree(src, home/'detectors'/name)
        else: pack_weights(saved, home/'detectors'/name, 'english', '1.2.0')
    monkeypatch.syspath_prepend(tmp_path/'site')
    monkeypatch.setitem(packaged_table, 'english', PackagedFolder('tiny_core', 'english', 'toxicai-core'))
    return tmp_path/'site'

# What a name means

def test_names(wheels, work):
    assert list(packaged_detectors())==['english','multilingual']
    english,other = wheels/'tiny_core/detectors/english',wheels/'toxicai_multilingual/detectors/multilingual'
    (work/'mine').mkdir()
    cases = {None:english, 'english':english, 'multilingual':other, './english':Path('english'), 'a/english':Path('a/english'),
             'mine':Path('mine'), 'v1.0':Path('v1.0'), Path('english'):Path('english'), Path('multilingual'):Path('multilingual'),
             'C:\\english':Path('C:\\english')}
    for name,want in cases.items(): assert detector_path(name)==want, name

def test_no_folder_is_the_packaged_one(wheels):
    d = Detector()
    assert (d.backend,d.folder.name,d.folder.version,d.folder.languages,list(d.labels))==('onnx-int8','english','1.2.0',['en'],classes)
    assert len(d(some))==4 and Detector('multilingual').about()==d.about()

def test_a_folder_is_called_so_too(wheels, work, packed):
    shutil.copytree(packed, 'multilingual')
    with pytest.raises(ValueError, match=r"write './multilingual' for the folder, `packaged_detectors\(\)\['multilingual'\]`"): Detector('multilingual')
    assert Detector('./multilingual').folder.path==work/'multilingual' and Detector(Path('multilingual')).folder.path==work/'multilingual'
    (work/'english').mkdir() # nobody typed this name
    assert Detector().folder.path==wheels/'tiny_core/detectors/english'

def test_unknown_name(wheels, work, packed):
    for o in ('Klingons','klingon-2','notes'): (work/o).mkdir()
    for o in ('Klingons','klingon-2'): shutil.copy(packed/'toxicai.json', o)
    with pytest.raises(FileNotFoundError) as e: Detector('klingon')
    assert all(o in str(e.value) for o in ("['english', 'multilingual']", "'./Klingons'", "'./klingon-2'", 'from_hub')) and 'notes' not in str(e.value)
    with pytest.raises(FileNotFoundError, match='no packaged detector is called so'): Detector('')
    with pytest.raises(FileNotFoundError, match="'./klingon' is not a folder|'klingon' is not a folder"): Detector('./klingon')

@pytest.mark.parametrize('bad', [3, ['english'], {'english'}, b'english'])
def test_not_a_name(bad):
    with pytest.raises(TypeError, match='expected the path of a detector folder'): Detector(bad)

def test_no_network_is_asked(wheels, monkeypatch):
    import socket
    def no(*args, **kwargs): raise AssertionError('the network was asked')
    monkeypatch.setattr(socket, 'create_connection', no)
    monkeypatch.setattr(socket.socket, 'connect', no)
    assert len(Detector()(some))==4
    with pytest.raises(FileNotFoundError): Detector('bert')

def test_wheel_is_missing(work, monkeypatch):
    monkeypatch.setitem(packaged_table, 'klingon', PackagedFolder('toxicai_klingon', 'klingon', 'toxicai-klingon'))
    with pytest.raises(ImportError, match='`pip install toxicai-klingon`'): Detector('klingon')
    assert 'klingon' not in packaged_detectors()

def test_wheel_without_its_data(wheels):
    shutil.rmtree(wheels/'toxicai_multilingual/detectors')
    with pytest.raises(FileNotFoundError, match='built without its data.*force-reinstall toxicai-multilingual'): Detector('multilingual')
    assert list(packaged_detectors())==['english']
    shutil.rmtree(wheels/'toxicai_weights/detectors')
    with pytest.raises(FileNotFoundError, match='no `checkpoint` was named.*force-reinstall toxicai-weights'): learner()

def test_lost_network(wheels):
    (wheels/'tiny_core/detectors/english/model.int8.onnx').unlink()
    with pytest.raises(ImportError, match='no backend can run'): Detector()

def test_english_where_it_is(work):
    "What the package itself holds is whole, if it holds anything"
    found = packaged_detectors()
    if not found: pytest.skip('no detector is packaged yet')
    for name,path in found.items():
        folder = read_folder(path)
        check_files(folder)
        assert folder.files and set(folder.files)==set(folder_digests(path)) and folder.name==name and folder.version and folder.languages
        assert check_scores(path).flipped.mean()<0.05 and (path/'README.md').stat().st_size>1000

# What is listed

def test_everything_is_listed(saved, packed):
    for o in (saved, packed):
        folder = read_folder(o)
        assert folder.files==folder_digests(o) and set(folder.files)=={k.name for k in o.iterdir()}-{'toxicai.json','.toxicai-written.json'}
        check_files(folder)

def changed(folder, name):
    data = bytearray((folder/name).read_bytes())
    at = data.rindex(b'}') if name.endswith('.json') else len(data)//2
    if name.endswith('.json'): data[at:at] = b' '
    else: data[at] ^= 1
    (folder/name).write_bytes(data)

@pytest.mark.parametrize('name', ['config.json','tokenizer.json','model.safetensors','model.onnx','model.int8.onnx'])
def test_changed_file(saved, tmp_path, name):
    "One bit or one space, and nothing is judged with it"
    folder = Path(shutil.copytree(saved, tmp_path/'d'))
    changed(folder, name)
    backend = {'model.safetensors':'torch', 'model.int8.onnx':'onnx-int8'}.get(name, 'onnx')
    with pytest.raises(FolderError) as e: Detector(folder, backend)
    assert name in str(e.value) and 'SHA-256' in str(e.value)
    relist_files(folder)
    if name.endswith('.json'): assert len(Detector(folder, backend)(some))==4

def test_changed_notes(saved, tmp_path):
    "What is not read does not keep a detector from judging, and `check_files` finds it"
    folder = Path(shutil.copytree(saved, tmp_path/'d'))
    (folder/'README.md').write_text('Mine')
    assert len(Detector(folder, 'onnx')(some))==4
    with pytest.raises(FolderError, match="'README.md' has the SHA-256"): check_files(read_folder(folder))
    (folder/'README.md').unlink()
    with pytest.raises(FolderError, match="no readable 'README.md'"): check_files(read_folder(folder))

def test_network_that_came_later(packed, saved, tmp_path):
    "A network in fp32 beside the one in int8 would judge under the same hash"
    folder = Path(shutil.copytree(packed, tmp_path/'d'))
    shutil.copy(saved/'model.onnx', folder)
    with pytest.raises(FolderError, match="does not list 'model.onnx'"): Detector(folder)
    before = Detector(folder, 'onnx-int8').about()['hash']
    relist_files(folder)
    d = Detector(folder)
    assert d.backend=='onnx' and d.about()['hash']!=before

def test_written_to_while_open(saved, tmp_path):
    "A network that is opened later is compared then"
    folder = Path(shutil.copytree(saved, tmp_path/'d'))
    d = Detector(folder, 'onnx')
    changed(folder, 'model.onnx')
    with pytest.raises(FolderError, match='model.onnx'): d.network('onnx', 2)

def test_compared_once(saved, monkeypatch):
    import hashlib
    n,digest = [],hashlib.file_digest
    monkeypatch.setattr(hashlib, 'file_digest', lambda f, *args: n.append(f.name) or digest(f, *args))
    d = Detector(saved, 'onnx')
    for i in (2,3): d.network('onnx', i)
    assert len(n)==1

# Versions of the format

def first_version(folder):
    "The folder as the first version of the format had it"
    d = json.loads((folder/'toxicai.json').read_text())
    (folder/'toxicai.json').write_text(json.dumps({**{k:d[k] for k in ('labels','head','text','versions','data','metrics','measured','drift')}, 'schema':1}))

def test_first_version(saved, tmp_path):
    folder = Path(shutil.copytree(saved, tmp_path/'d'))
    want = Detector(folder, 'onnx').scores(some)
    first_version(folder)
    found = read_folder(folder)
    assert (found.name,found.version,found.files,found.uses,found.languages,found.first)==('','',{},{},[],{})
    assert np.array_equal(Detector(folder, 'onnx').scores(some), want)
    before = found.hash
    changed(folder, 'tokenizer.json') # nothing is listed, and yet the hash tells
    assert read_folder(folder).hash!=before

def test_migrations_share_nothing():
    a,b = (migrated(dict(schema=1)) for _ in range(2))
    a['languages'].append('en')
    assert b['languages']==[] and migrated(dict(schema=1))['languages']==[]

odd = dict(name=['a\n', 3, 'x'*101], version=[1.0, None], files=[[], {'a':'1'}, {'../a':'0'*64}, {'toxicai.json':'0'*64}, {'a':None}],
    uses=[[], {'':{}}, {'x':{'toxic':0.5}}, {'x':{'toxic':{'threshold':2}}}, {'x':{'toxic':{'recall':0.5}}}, {'x':{'toxic':{'threshold':True}}},
          {'x':{'toxic':{'threshold':0.5, 'code':1}}}, {'x':{'spam':{'threshold':0.5}}}], languages=['en', ['English'], [1], ['en']*501], first=[[], 'x'])

@pytest.mark.parametrize('key,value', [(k,o) for k,v in odd.items() for o in v])
def test_odd_values(saved, tmp_path, key, value):
    folder = Path(shutil.copytree(saved, tmp_path/'d'))
    d = json.loads((folder/'toxicai.json').read_text())
    (folder/'toxicai.json').write_text(json.dumps({**d, key:value}))
    with pytest.raises(FolderError, match=f'`{key}`'): read_folder(folder)

def test_saved_again(saved, learn, tmp_path):
    "What was changed through the room is the writer's own, so that the folder can be replaced"
    folder = Path(shutil.copytree(saved, tmp_path/'d'))
    assert change_meta(folder, version='1.0.1', uses=uses).uses==uses
    learn.save_detector(folder, onnx=False, name='rude', version='2', languages='de')
    found = read_folder(folder)
    assert (found.name,found.version,found.languages,found.uses)==('rude','2',['de'],{}) and not found.has('model.onnx')
    check_files(found)

# What judged

def test_about(packed, tmp_path):
    d = Detector(packed)
    about = d.about()
    assert set(about)=={'name','version','hash','languages','settings'} and (about['name'],about['version'])==('english','1.2.0')
    for detail in ('flags','scores','all'): assert d(some, detail).detector==about and d(some, detail)[1:].detector==about
    assert [o.detector for o in d.iter(some)]==[about]*4
    moved = Detector(shutil.copytree(packed, tmp_path/'elsewhere'))
    assert moved.about()==about and pickle.loads(pickle.dumps(moved)).about()==about

def test_settings_tell(packed, saved):
    "All that changes a decision is another setting; what does not is none"
    d = Detector(packed)
    def settings(**kw): return Detector(packed, **kw).about()['settings']
    base = d.about()['settings']
    assert settings(threads=1)==base and settings(long='windows')!=base
    d.labels = d.labels.with_thresholds(0.3)
    assert d.about()['settings']!=base and d.about()['hash']==Detector(packed).about()['hash']
    a,b,c = (Detector(saved, o, recheck=r).about() for o,r in (('onnx',None), ('onnx-int8',None), ('onnx-int8',True)))
    assert len({o['settings'] for o in (a,b,c)})==3 and a['hash']==b['hash']

def test_settings_of_other_rooms(packed, monkeypatch):
    d = Detector(packed)
    before = d.about()['settings']
    monkeypatch.setitem(decision_settings, 'words', lambda d: ['idiot'])
    assert d.about()['settings']!=before

# int8 alone

def test_int8_alone(packed, saved):
    d = Detector(packed)
    assert d.backend=='onnx-int8' and 'int8 alone' in d.why
    assert np.array_equal(d.scores(some), Detector(saved, 'onnx-int8').scores(some))
    for o,file in (('torch','model.safetensors'), ('onnx','model.onnx'), ('openvino','model.onnx'), ('torch-bf16','model.safetensors')):
        if backends[o].lacks and backends[o].lacks(): continue
        with pytest.raises((ValueError,ImportError), match=f"needs '{file}', which .* does not have: it holds the network in int8 alone|needs openvino"): Detector(packed, o)
    with pytest.raises(ValueError, match="`recheck=True` cannot be done: the backend 'onnx' needs 'model.onnx'"): Detector(packed, recheck=True)

def test_int8_beside_weights_is_asked_for(saved, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(saved, tmp_path/'d'))
    (folder/'model.onnx').unlink()
    assert Detector(folder).backend=='torch'
    monkeypatch.setattr('toxicai.serve.backends.engine_installed', lambda o: o!='torch')
    with pytest.raises(ImportError, match='needs torch'): Detector(folder)

def test_card(packed):
    from transformers import pipeline
    card = (packed/'README.md').read_text()
    assert 'transformers cannot read this folder' in card and 'english 1.2.0' in card and 'Trained on texts in en.' in card and '| cautious | toxic | 0.9 | 0.8 | 0.3 | 0.01 |' in card
    assert 'license: apache-2.0' in card and (packed/'LICENCE.txt').read_text()=='Do what you like'
    with pytest.raises((OSError,ValueError)): pipeline('text-classification', str(packed))

# Scores that are repeated

def test_probe_texts():
    texts = probe_texts()
    assert len(texts)==len(set(texts))==50 and min(map(len, texts))<5 and max(map(len, texts))>300

def test_check_scores(packed):
    found = check_scores(packed)
    assert len(found)==50 and found.apart.max()<1e-6 and not found.flipped.any() and '0 of 300 flags differ' in repr(found)
    d = Detector(packed)
    assert np.abs(found.scores-np.concatenate([d.scores([o]) for o in probe_texts()])).max()<1e-6 # in int8, company counts

def test_other_scores_are_seen(packed, tmp_path):
    folder = Path(shutil.copytree(packed, tmp_path/'d'))
    d = json.loads((folder/'check.json').read_text())
    d['scores'][7] = [1-round(o) for o in d['scores'][7]]
    (folder/'check.json').write_text(json.dumps(d))
    with pytest.raises(FolderError, match="'check.json' has the SHA-256"): check_scores(folder)
    relist_files(folder)
    found = check_scores(folder)
    assert found.flipped.sum()==6 and found.flipped[7].all() and '6 of 300 flags differ' in found.report().to_markdown()

def test_by_another_backend(saved, packed, tmp_path):
    "Whoever has all networks can see what int8 changes"
    folder = pack_detector(saved, tmp_path/'d', 'english', '1.0.0', int8_only=False)
    found = check_scores(folder, 'onnx-int8')
    assert 0<found.apart.max()<0.05 and found.made!=''

def test_packed_from_the_first_version(saved, tmp_path):
    "What toxicai wrote is packed, and nothing that lies beside it"
    folder = Path(shutil.copytree(saved, tmp_path/'d'))
    first_version(folder)
    (folder/'train.py').write_text('# mine')
    found = read_folder(pack_detector(folder, tmp_path/'p', 'old', '1.0.0'))
    assert set(found.files)=={'README.md','check.json','config.json','model.int8.onnx','tokenizer.json','tokenizer_config.json'}
    assert np.array_equal(Detector(found).scores(some), Detector(saved, 'onnx-int8').scores(some))

@pytest.mark.parametrize('version', ['', 'new', '1', '1.0.0rc1', 'v1.0'])
def test_version_of_a_wheel(saved, tmp_path, version):
    with pytest.raises(ValueError, match="expected numbers such as '1.0.0'"): pack_detector(saved, tmp_path/'p', 'x', version)
    assert not (tmp_path/'p').exists()

# Languages

spanish,english,short = 'No me parece bien lo que dices, y lo sabes', 'I see no reason to believe it', 'ok'

def test_languages(packed):
    d = Detector(packed)
    res = d([spanish, english, short], 'all')
    assert res.languages==['es','en','und'] and "1 of 3 texts are in a language that the detector was not trained on (es 1; it knows en)" in res.note and res.note in repr(res)
    assert res[1:].note=='' and res[0].languages==['es'] and res.to_dict()['languages']==res.languages and list(res.to_frame().languages)==res.languages
    assert d([spanish]).languages is None and d([spanish]).note=='' and d([], 'all').languages==[]

def test_unknown_training_language(packed):
    assert Detector(replace(read_folder(packed), languages=[]))([spanish], 'all').note==''
    assert foreign_languages(['ur','en'], ['ur-Latn','en'])=={}

# Training from the weights

def test_training_begins_with_the_weights(wheels, learn, saved):
    "The body is that of the detector, in 16 bits, and so are the outputs whose names are the same"
    new = learner(label_cols=['insult','toxic'])
    path = weights_path()
    assert text_tfm(new.dls).checkpoint==str(path) and text_tfm(new.dls).encoder.rules.names==['nfc','spaces']
    old,now = learn.model.state_dict(),new.model.state_dict()
    for k in old:
        want = old[k][[4,0]] if k.startswith('classifier') else old[k]
        assert torch.allclose(now[k].cpu().float(), want.cpu().float(), atol=2e-3, rtol=1e-3) and now[k].dtype==old[k].dtype, k
    size = [(o/'model.safetensors').stat().st_size for o in (path,saved)]
    assert size[0]<0.6*size[1]

@pytest.mark.parametrize('pooling', ['own','mean'])
def test_a_course_in_steps(tmp_path, pooling):
    "A detector folder is fine-tuned, saved, and fine-tuned again, in fp32 from end to end"
    dls = ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols=['toxic','insult'], bs=8)
    place = None
    for i in range(3):
        learn = toxicity_learner(dls, place, pooling=pooling)
        with learn.no_bar(),learn.no_logging(): learn.fit(1, 1e-2)
        place = learn.save_detector(tmp_path/str(i))
        learn.export(tmp_path/'learner.pkl')
        assert np.abs(Detector(place, 'torch').scores(some)-learn.get_preds(dl=learn.dls.test_dl(list(some)))[0].numpy()).max()<1e-5

def test_weights_with_mean_pooling(wheels, tmp_path, capfd):
    "A head on the mean of the token vectors is kept as well, and transformers is not asked what it is"
    old = toxicity_learner(ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols=['toxic','insult'], bs=8), pooling='mean')
    with old.no_bar(),old.no_logging(): old.fit(1, 1e-2)
    saved = old.save_detector(tmp_path/'saved')
    pack_weights(saved, weights_path(), 'english', '1.2.0')
    capfd.readouterr()
    new = learner(label_cols=['insult','toxic'])
    assert 'toxicai-mean-pooling' not in ''.join(capfd.readouterr())
    for k,v in old.model.state_dict().items():
        want = v[[1,0]] if k.startswith('classifier') else v
        assert torch.allclose(new.model.state_dict()[k].cpu(), want.cpu(), atol=2e-3, rtol=1e-3), k
    assert np.abs(Detector(weights_path(), 'torch').scores(some)-Detector(saved, 'torch').scores(some)).max()<2e-3
    none = toxicity_learner(new.dls, head='new')
    assert not torch.allclose(none.model.classifier.weight.cpu(), new.model.classifier.weight.cpu())
    with new.no_bar(),new.no_logging(): new.fit(1)
    again = Detector(new.save_detector(tmp_path/'again'), 'torch')
    assert list(again.labels)==['insult','toxic'] and again.folder.head=='mean'

@pytest.mark.parametrize('encoder', [None, [], 'bert', {}, {'model_type':'bert', 'auto_map':{'AutoModel':'evil.M'}}])
def test_odd_encoder(wheels, encoder):
    "What `config.json` says of the encoder is checked before transformers sees it"
    path = weights_path()
    (path/'config.json').write_text(json.dumps({**json.loads((path/'config.json').read_text()), 'model_type':'toxicai-mean-pooling', 'encoder':encoder}))
    with pytest.raises(FolderError): learner(path)

def test_a_class_more(wheels, learn):
    df = comments()
    df['spam'] = df.toxic[::-1].to_numpy()
    new = learner(label_cols=['spam','threat'], df=df.assign(threat=df.insult))
    assert torch.allclose(new.model.classifier.weight[1].cpu(), learn.model.classifier.weight[3].cpu(), atol=2e-3)
    with new.no_bar(),new.no_logging(): new.fit(1)

def test_rules_of_ones_own(wheels): assert text_tfm(learner(rules='light').dls).encoder.rules.names!=['nfc','spaces']

def test_damaged_weights(wheels):
    changed(wheels/'toxicai_weights/detectors/english', 'model.safetensors')
    with pytest.raises(FolderError, match="'model.safetensors' has the SHA-256"): learner()

def test_weights_judge(wheels, saved):
    "The folder of the weights is a detector as well"
    assert np.abs(Detector(weights_path(), 'torch').scores(some)-Detector(saved, 'torch').scores(some)).max()<2e-3

@pytest.mark.parametrize('make', ['from_df','from_csv','from_lists','from_dataset'])
def test_no_checkpoint_anywhere(wheels, tmp_path, make):
    from datasets import Dataset
    df = comments()
    df.to_csv(tmp_path/'c.csv', index=False)
    args = dict(from_df=(df,), from_csv=(tmp_path/'c.csv',), from_lists=(df.text.tolist(), df.label.tolist()), from_dataset=(Dataset.from_pandas(df),))[make]
    assert text_tfm(getattr(ToxicityDataLoaders, make)(*args, bs=8)).checkpoint==str(weights_path())

# The multilingual one

said = dict(en=('you are an idiot','thank you for your help'), es=('eres un idiota de mierda','muchas gracias por tu ayuda'), fr=('tu es un connard','merci beaucoup'),
            de=('du bist ein Arschloch','danke schön'), it=('sei uno stronzo','grazie mille'), pt=('seu filho da puta','muito obrigado'),
            ko=('병신아','감사합니다'), zh=('你这个傻逼','谢谢你的帮助'), ar=('أنت حمار','شكرا جزيلا'))

def test_multilingual():
    "A rude and a kind text in nine of its languages; it ships in int8 alone, with what it says of itself"
    d = Detector(Path(__file__).parents[2]/'toxicai_multilingual/detectors/multilingual')
    check_files(d.folder)
    assert d.backend=='onnx-int8' and set(said)<set(d.folder.languages) and set(d.folder.uses)=={'balanced','cautious','watchful'}
    for lang,pair in said.items(): assert [d.flagged(o) for o in pair]==[True,False], lang

disguised = [('you are an idiot','you are an 1d1ot'), ('shut up you stupid bitch','shut up you stupid b i t c h'),
             ('you are a fucking moron','you are a f*cking m0r0n'), ('what an asshole','what an a$$h0le'),
             ('go away you bastard','go away you b.a.s.t.a.r.d'), ('Thanks, see you at 3 p.m.','Thanks, see you at 3 p.m.')]

def test_disguises():
    "The English detector judges disguised words as what they say"
    d = Detector(threads=1)
    plain,written = zip(*disguised)
    assert d(plain).flags[:,0].tolist()==d(written).flags[:,0].tolist()==[True]*5+[False]
    np.testing.assert_allclose(d.scores(plain), d.scores(written), atol=.02)
