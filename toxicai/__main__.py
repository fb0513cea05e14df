"`python -m toxicai` is the program `toxicai`"
from toxicai.cli import main

if __name__=='__main__': main()
