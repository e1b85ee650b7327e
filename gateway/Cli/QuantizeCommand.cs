using System.CommandLine;
using System.Globalization;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Gateway.Tokenizers;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Quantization;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>quantize</c>: a model as a GGUF file of another weight format.</summary>
internal static class QuantizeCommand
{
    public static Command Create()
    {
        Option<string?> model = Opt.OptionalText(
            "--model", "A .gguf file, or a Hugging Face folder with config.json and .safetensors. Default: the demo model.", "PATH");
        Option<string> type = WeightTypes.Option("q8_0", "How the weights are stored. With q4_0, q4_k and q5_k the head is q6_k.");
        Option<string> output = Opt.Text("--out", "", "The .gguf file to write; it must not exist yet.", "FILE");
        output.Required = true;
        Option<int?> threads = Opt.OptionalNumber("--threads", 1, 1024, "Threads that encode. Default: all cores.");
        var command = new Command("quantize", "Write a model as a GGUF file of another weight format, with its tokenizer.") { model, type, output, threads };
        command.SetAction((result, cancellation) => Background.Run(() => Run(
            result.GetValue(model) ?? DemoModel.Path,
            new QuantizationOptions
            {
                Type = WeightTypes.Of(result.GetValue(type)!),
                Output = result.GetValue(output)!,
                Threads = result.GetValue(threads) ?? Environment.ProcessorCount,
            },
            cancellation)));
        return command;
    }

    private static void Run(string path, QuantizationOptions options, CancellationToken cancellation)
    {
        using ModelFile source = ModelFile.Open(path);
        options = options with { Metadata = GgufVocabularyExport.Of(source) };
        QuantizationResult result = WritingProgressBar.Show(progress => ModelQuantizer.Write(source, options, progress, cancellation));
        foreach (var group in result.Substitutes.GroupBy(substitute => (substitute.Wanted, substitute.Written)))
        {
            string rest = group.Count() > 1 ? string.Create(CultureInfo.InvariantCulture, $" and {group.Count() - 1} others") : "";
            Console.WriteLine($"{group.First().Tensor}{rest} in {group.Key.Written}: their rows are not whole blocks of {group.Key.Wanted.ElementsPerBlock()}, as {group.Key.Wanted} has them");
        }

        string formats = string.Join(", ", result.Matrices.OrderByDescending(pair => pair.Value).Select(pair => $"{pair.Value} x {pair.Key}"));
        Console.WriteLine($"wrote {options.Output}: {ByteSize.Format(new FileInfo(options.Output).Length)}, matrices {formats}");
    }
}
