"Clients whose address is written into them, not a line of them changed: the name of the host leads to us, in a network of its own"
import json,os,shutil,subprocess,sys
from pathlib import Path

import pytest
from serving import cache,client_folder,save_six
from toxicai.serve.detector import Detector

close = dict(rel=0, abs=1e-5)
names = 'commentanalyzer.googleapis.com', 'api.openai.com'
apart = ['unshare', *([] if os.geteuid()==0 else ['--user','--map-root-user']), '--net', '--mount']

def npm_folder(package):
    "As `client_folder`, from npm"
    path = cache/package.replace('@', '-')
    if not (path/'.whole').exists():
        path.mkdir(parents=True, exist_ok=True)
        res = subprocess.run(['npm', 'install', '--silent', '--prefix', path, package], capture_output=True, text=True)
        if res.returncode: pytest.skip(f'npm could not install {package}')
        (path/'.whole').touch()
    return path/'node_modules'

def run(*cmd): subprocess.run(cmd, check=True, capture_output=True)

@pytest.fixture(scope='module')
def certificate(tmp_path_factory):
    "Of an authority of our own, as docs/perspective.md makes it"
    if not shutil.which('openssl'): pytest.skip('openssl is not here')
    at = tmp_path_factory.mktemp('tls')
    (at/'names').write_text('subjectAltName='+','.join(f'DNS:{o}' for o in names))
    run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', '/CN=my own CA', '-keyout', at/'ca.key', '-out', at/'ca.pem')
    run('openssl', 'req', '-newkey', 'rsa:2048', '-nodes', '-subj', f'/CN={names[0]}', '-keyout', at/'host.key', '-out', at/'host.csr')
    run('openssl', 'x509', '-req', '-in', at/'host.csr', '-CA', at/'ca.pem', '-CAkey', at/'ca.key', '-CAcreateserial', '-days', '30', '-out', at/'host.pem', '-extfile', at/'names')
    (at/'hosts').write_text(f'127.0.0.1 localhost {" ".join(names)}\n')
    return at

google = '''
import json
from googleapiclient import discovery
client = discovery.build('commentanalyzer', 'v1alpha1', developerKey='k', static_discovery=False,
    discoveryServiceUrl='https://commentanalyzer.googleapis.com/$discovery/rest?version=v1alpha1')
res = client.comments().analyze(body={'comment':{'text':'you are an idiot'}, 'requestedAttributes':{'TOXICITY':{}}}).execute()
print(res['attributeScores']['TOXICITY']['summaryScore']['value'])
'''
pyperspective = '''
from PyPerspective.Perspective import Perspective
print(Perspective('k').get_score('you are an idiot')['TOXICITY'].score)
'''
openai = '''
import openai
print(openai.OpenAI(api_key='k').moderations.create(input='you are an idiot').results[0].category_scores.harassment_threatening)
'''
npm = '''
const Perspective = require('perspective-api-client');
new Perspective({apiKey:'k'}).analyze('<b>you are an idiot</b>', {stripHTML:true}).then(r => console.log(r.attributeScores.TOXICITY.summaryScore.value));
'''
inside = '''
import json,os,subprocess,sys
from serving import served
folder,at,clients = sys.argv[1:3]+[json.loads(sys.argv[3])]
subprocess.run(['sh', '-c', 'ip link set lo up && mount --bind "$0"/hosts /etc/hosts', at], check=True)
ca = f'{at}/ca.pem'
env = {**os.environ, **{o:ca for o in ('SSL_CERT_FILE','REQUESTS_CA_BUNDLE','HTTPLIB2_CA_CERTS','NODE_EXTRA_CA_CERTS')}, 'NO_PROXY':'*'}
with served(folder, port=443, tls_cert=f'{at}/host.pem', tls_key=f'{at}/host.key') as url:
    for name,(cmd,more) in clients.items():
        res = subprocess.run(cmd, capture_output=True, text=True, env={**env, **more})
        clients[name] = float(res.stdout) if res.returncode==0 else res.stderr[-2000:]
print(json.dumps(clients))
'''

def python_client(requirement, code): return [sys.executable, '-W', 'ignore', '-c', code],dict(PYTHONPATH=str(client_folder(requirement)))

@pytest.mark.slow
def test_host_mapping(certificate, tmp_path):
    for o in ('unshare','ip'):
        if not shutil.which(o): pytest.skip(f'{o} is not here')
    if subprocess.run([*apart, 'sh', '-c', 'ip link set lo up && mount --bind /dev/null /etc/hosts'], capture_output=True).returncode: pytest.skip('no namespaces here')
    clients = dict(google=python_client('google-api-python-client==2.202.0', google), pyperspective=python_client('PyPerspective==1.0.4', pyperspective), openai=python_client('openai==3.57.0', openai))
    if shutil.which('npm') and shutil.which('node'): clients['npm'] = ['node', '-e', npm],dict(NODE_PATH=str(npm_folder('perspective-api-client@3.1.0')))
    folder = save_six(tmp_path/'six')
    env = {**os.environ, 'PYTHONPATH':os.pathsep.join(filter(None, [str(Path(__file__).parent.parent), os.environ.get('PYTHONPATH')]))}
    res = subprocess.run([*apart, sys.executable, '-W', 'ignore', '-c', inside, folder, certificate, json.dumps(clients)], capture_output=True, text=True, env=env)
    assert res.returncode==0, res.stderr
    scores = Detector(folder, 'torch').scores('you are an idiot')[0]
    found = json.loads(res.stdout.splitlines()[-1])
    for name in clients: assert found[name]==pytest.approx(float(scores[3 if name=='openai' else 0]), **close), f'{name}: {found[name]}'
