using System.CommandLine;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Synthesis;
using Spectre.Console;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>synth</c>: a model of a real shape with random weights, for measuring without a download.</summary>
internal static class SynthCommand
{
    private static readonly Dictionary<string, WeightFormat> Types = new(StringComparer.OrdinalIgnoreCase)
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

    public static Command Create()
    {
        Option<string> shape = Opt.Choice("--shape", "tiny", "The model's shape.", [.. ModelShapes.Names]);
        Option<int?> layers = Opt.OptionalNumber("--layers", 1, 1024, "Layers, if not the shape's own number.");
        Option<string> type = Opt.Choice("--type", "bf16", "How the weights are stored.", [.. Types.Keys]);
        Option<string> format = Opt.Choice("--format", "gguf", "A GGUF file, or a Hugging Face folder (f32, f16 and bf16 only).", "gguf", "hf");
        Option<string?> tokenizer = Opt.OptionalText("--tokenizer", "A folder with a tokenizer.json to give the model. Default: a made-up vocabulary.", "DIR");
        Option<ulong> seed = Opt.Seed("--seed", "The same seed gives the same weights, in either format.");
        Option<string> output = Opt.Text("--out", "", "The file or folder to write; it must not exist yet.", "PATH");
        output.Required = true;
        var command = new Command("synth", "Write a model of a real shape with seeded random weights.") { shape, layers, type, format, tokenizer, seed, output };
        command.SetAction((result, cancellation) =>
        {
            var options = new SynthesisOptions
            {
                Shape = result.GetValue(shape)!,
                Output = result.GetValue(output)!,
                Format = result.GetValue(format) == "hf" ? SynthesisFormat.HuggingFace : SynthesisFormat.Gguf,
                Type = Types[result.GetValue(type)!],
                Layers = result.GetValue(layers),
                Seed = result.GetValue(seed),
                TokenizerDirectory = result.GetValue(tokenizer),
            };
            Write(options, cancellation);
            Console.WriteLine($"wrote {options.Output}: {ByteSize.Format(SizeOf(options.Output))}");
            return Task.FromResult(0);
        });
        return command;
    }

    private static void Write(SynthesisOptions options, CancellationToken cancellation)
    {
        if (Console.IsErrorRedirected)
        {
            ModelSynthesizer.Write(options, null, cancellation);
            return;
        }

        IAnsiConsole terminal = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        terminal.Progress().AutoClear(true).Start(context =>
        {
            ProgressTask task = context.AddTask("writing", maxValue: 1);
            ModelSynthesizer.Write(options, new Progress<SynthesisProgress>(p => task.Value = (double)p.Bytes / p.TotalBytes), cancellation);
        });
    }

    private static long SizeOf(string path) => File.Exists(path)
        ? new FileInfo(path).Length
        : new DirectoryInfo(path).EnumerateFiles().Sum(file => file.Length);
}
