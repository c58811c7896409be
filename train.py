"""Run the command line: ``python train.py [command] [group=name ...] [key=value ...]``; ``--help`` tells the rest."""

from covidnet.training.args import expand_or_exit

if __name__ == "__main__":
    command_line = expand_or_exit()  # help and typos answer here, before torch is imported
    from covidnet.training.interface import run_command_line
    from covidnet.training.processes import run_to_the_end

    run_to_the_end(lambda: run_command_line(command_line))
