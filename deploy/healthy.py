"Exit with 0 when the service is ready to judge, else with 1: `python healthy.py [http://127.0.0.1:8000]`"
import sys
from urllib.request import ProxyHandler,build_opener

def ready(
    url:str, # Address of the service
) -> bool:
    "Does `/readyz` of the service answer 200 within two seconds?"
    try: return build_opener(ProxyHandler({})).open(f'{url}/readyz', timeout=2).status==200
    except OSError: return False

if __name__=='__main__': sys.exit(not ready(sys.argv[1].rstrip('/') if len(sys.argv)>1 else 'http://127.0.0.1:8000'))
