// Every test starts several processes; one after the other they measure the program, not the machine.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
