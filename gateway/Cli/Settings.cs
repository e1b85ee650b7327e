namespace Llama3Cluster.Gateway.Cli;

/// <summary>
/// Where options that are not given on the command line come from: <c>appsettings.json</c> in the working directory, then
/// environment variables. The key is the option's name: <c>--kv-tokens</c> is <c>"kv-tokens"</c> in the section
/// <c>Llama3Cluster</c> of the file, and <c>LLAMA3CLUSTER_KV_TOKENS</c> in the environment.
/// </summary>
internal static class Settings
{
    public const string EnvironmentPrefix = "LLAMA3CLUSTER_";
    private const string Section = "Llama3Cluster";

    private static readonly IConfiguration File = new ConfigurationBuilder()
        .SetBasePath(Directory.GetCurrentDirectory())
        .AddJsonFile("appsettings.json", optional: true)
        .Build()
        .GetSection(Section);

    /// <summary>The configured value of an option; null if there is none.</summary>
    public static string? Find(string option)
    {
        string key = option.TrimStart('-');
        return Environment.GetEnvironmentVariable(EnvironmentPrefix + key.Replace('-', '_').ToUpperInvariant()) ?? File[key];
    }
}
