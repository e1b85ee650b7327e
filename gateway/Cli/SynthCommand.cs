using System.CommandLine;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Synthesis;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>synth</c>: a model of a real shape with random weights, for measuring without a download.</summary>
internal static class SynthCommand
{
    public static Command Create()
    {
        Option<string> shape = Opt.Choice("--shape", "tiny", "The model's shape.", [.. ModelShapes.Names]);
        Option<int?> layers = Opt.OptionalNumber("--layers", 1, 1024, "Layers, if not the shape's own number.");
        Option<string> type = WeightTypes.Option("bf16", "How the weights are stored.");
        Option<string> format = Opt.Choice("--format", "gguf", "A GGUF file, or a Hugging Face folder (f32, f16 and bf16 only).", "gguf", "hf");
        Option<string?> tokenizer = Opt.OptionalText("--tokenizer", "A folder with a tokenizer.json to give the model. Default: a made-up vocabulary.", "DIR");
        Option<ulong> seed = Opt.Seed("--seed", "The same seed gives the same weights, in either format.");
        Option<string> output = Opt.Text("--out", "", "The file or folder to write; it must not exist yet.", "PATH");
        output.Required = true;
        var command = new Command("synth", "Write a model of a real shape with seeded random weights.") { shape, layers, type, format, tokenizer, seed, output };
        command.SetAction((result, cancellation) => Background.Run(() =>
        {
            var options = new SynthesisOptions
            {
                Shape = result.GetValue(shape)!,
                Output = result.GetValue(output)!,
                Format = result.GetValue(format) == "hf" ? SynthesisFormat.HuggingFace : SynthesisFormat.Gguf,
                Type = WeightTypes.Of(result.GetValue(type)!),
                Layers = result.GetValue(layers),
                Seed = result.GetValue(seed),
                TokenizerDirectory = result.GetValue(tokenizer),
            };
            WritingProgressBar.Show(progress =>
            {
                ModelSynthesizer.Write(options, progress, cancellation);
                return true;
            });
            Console.WriteLine($"wrote {options.Output}: {ByteSize.Format(SizeOf(options.Output))}");
        }));
        return command;
    }

    private static long SizeOf(string path) => File.Exists(path)
        ? new FileInfo(path).Length
        : new DirectoryInfo(path).EnumerateFiles().Sum(file => file.Length);
}
