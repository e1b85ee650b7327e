using Llama3Cluster.Gateway.Cli;

return await CommandLine.RunAsync(args).ConfigureAwait(false);
