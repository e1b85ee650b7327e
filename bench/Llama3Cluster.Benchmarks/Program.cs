using BenchmarkDotNet.Running;
using Llama3Cluster.Benchmarks;

BenchmarkSwitcher.FromAssembly(typeof(ShortRuns).Assembly).Run(args, new ShortRuns());
