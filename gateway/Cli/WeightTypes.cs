using System.CommandLine;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Gateway.Cli;

/// <summary>The names of the weight formats on the command line.</summary>
internal static class WeightTypes
{
    private static readonly Dictionary<string, WeightFormat> Formats = new()
    {
        ["f32"] = WeightFormat.F32,
        ["f16"] = WeightFormat.F16,
        ["bf16"] = WeightFormat.BF16,
        ["q8_0"] = WeightFormat.Q8_0,
        ["q4_0"] = WeightFormat.Q4_0,
        ["q4_k"] = WeightFormat.Q4_K,
        ["q5_k"] = WeightFormat.Q5_K,
        ["q6_k"] = WeightFormat.Q6_K,
    };

    /// <summary>The option that chooses one.</summary>
    public static Option<string> Option(string fallback, string description) => Opt.Choice("--type", fallback, description, [.. Formats.Keys]);

    /// <summary>The format of a name.</summary>
    public static WeightFormat Of(string name) => Formats[name];
}
