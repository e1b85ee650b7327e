using Llama3Cluster.Gateway.Cli;

using IDisposable? trimming = NativeHeap.KeepSmall();
return await CommandLine.RunAsync(args).ConfigureAwait(false);
