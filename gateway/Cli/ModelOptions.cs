using System.CommandLine;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Gateway.Cli;

/// <summary>The options by which every command that computes finds its model and its device.</summary>
internal sealed class ModelOptions
{
    public Option<string?> Model { get; } = Opt.OptionalText(
        "--model", "A .gguf file, or a Hugging Face folder with config.json and .safetensors. Default: the demo model.", "PATH");

    public Option<string> Device { get; } = Opt.Text(
        "--device", "auto",
        "Where to compute: auto is every CUDA GPU, else every OpenCL GPU, else the processor. cuda:1 is one GPU, opencl:0,cpu are two devices; \"llama3cluster devices\" lists them.",
        Devices.Names);

    public Option<int?> Threads { get; } = Opt.OptionalNumber("--threads", 1, 1024, "Threads of a CPU device. Default: an equal share of the cores.");

    public Option<string> KvType { get; } = Opt.Choice(
        "--kv-type", "auto", "How keys and values are cached: f16, or f32 for single-precision weights, unless you say. q8_0 takes half of f16's memory.",
        "auto", "f16", "bf16", "f32", "q8_0");

    public Option<string> Repack { get; } = Opt.Choice(
        "--repack", "auto",
        "Whether a CPU device keeps weights rearranged for its registers, in memory as large as the file's: auto does while memory allows. off decodes at a fifth to a third of the speed, to the same bits.",
        "auto", "on", "off");

    public void AddTo(Command command)
    {
        command.Add(Model);
        command.Add(Device);
        command.Add(Threads);
        command.Add(Repack);
        command.Add(KvType);
    }

    public string PathOf(ParseResult result) => result.GetValue(Model) ?? DemoModel.Path;

    public KvFormat? KvFormatOf(ParseResult result) => result.GetValue(KvType) switch
    {
        "f16" => KvFormat.F16,
        "bf16" => KvFormat.BF16,
        "f32" => KvFormat.F32,
        "q8_0" => KvFormat.Q8_0,
        _ => null,
    };

    public DeviceChoice DeviceOf(ParseResult result) => new(
        result.GetValue(Device)!, result.GetValue(Threads), Enum.Parse<Repack>(result.GetValue(Repack)!, ignoreCase: true));

    /// <summary>Loads the model for a local command.</summary>
    public LocalModel Load(
        ParseResult result, int stages, int sequences, int? context, int rows, int logitRows, CancellationToken cancellationToken) =>
        LocalModel.Load(
            PathOf(result), DeviceOf(result), stages, sequences, context, rows, logitRows, KvFormatOf(result), cancellationToken);

    /// <summary>The option of commands that can cut the model into several slices.</summary>
    public static Option<int> Stages(int fallback) =>
        Opt.Number("--stages", fallback, 1, 1026, "Slices to cut the model into; at most its layers + 2.");
}
