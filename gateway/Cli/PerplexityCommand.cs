using System.CommandLine;
using System.Globalization;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Gateway.Tokenizers;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>perplexity</c>: how well the model predicts a text.</summary>
internal static class PerplexityCommand
{
    public static Command Create()
    {
        var model = new ModelOptions();
        Option<string> file = Opt.Text("--file", "", "The text, in UTF-8.", "TEXT");
        file.Required = true;
        Option<int> bytes = Opt.Number("--bytes", int.MaxValue, 1, int.MaxValue, "Use only so many bytes from the text's start, to the last whole character.");
        Option<int?> context = Opt.OptionalNumber("--context", 2, 1 << 20, "Tokens of a window; each is predicted from those before it in its window. Default: the model's context, at most 512.");
        Option<int> batch = Opt.Number("--batch", 4, 1, 256, "Windows computed together. The result does not depend on it.");
        Option<int> stages = ModelOptions.Stages(1);
        Option<bool> json = Opt.Flag("--json", "Print the result as JSON.");
        var command = new Command("perplexity", "Measure how well a model predicts a text: exp of the mean negative log-likelihood a token.")
        {
            file, bytes, context, batch, stages, json,
        };
        model.AddTo(command);
        command.SetAction((result, cancellation) => Task.FromResult(Run(
            model, result, ReadText(result.GetValue(file)!, result.GetValue(bytes)), result.GetValue(context), result.GetValue(batch),
            result.GetValue(stages), result.GetValue(json), cancellation)));
        return command;
    }

    private static int Run(
        ModelOptions options, ParseResult result, string text, int? context, int batch, int stages, bool json, CancellationToken cancellation)
    {
        ModelTokenizer tokenizer = TokenizerLoader.Load(options.PathOf(result));
        int[] tokens = tokenizer.Encode(new Prompt.Text(text));
        using var file = Shards.Files.ModelFile.Open(options.PathOf(result));
        int window = context ?? Math.Min(file.Config.ContextLength, 512);
        if (window > file.Config.ContextLength)
            throw new UsageException($"--context {window} exceeds the model's {file.Config.ContextLength} positions");

        using LocalModel model = options.Load(result, stages, batch, window, Perplexity.RowsPerStep(batch), Perplexity.RowsPerStep(batch), cancellation);
        PerplexityResult measured = Perplexity.Measure(model, tokens, window, Progress(json), cancellation);
        Console.WriteLine(json
            ? string.Create(CultureInfo.InvariantCulture, $$"""{"perplexity":{{measured.Perplexity:R}},"nll":{{measured.MeanNegativeLogLikelihood:R}},"tokens":{{measured.Predicted}},"context":{{window}},"batch":{{batch}},"stages":{{stages}}}""")
            : string.Create(CultureInfo.InvariantCulture, $"perplexity {measured.Perplexity:0.00000} over {measured.Predicted} tokens (mean negative log-likelihood {measured.MeanNegativeLogLikelihood:0.000000}, windows of {window})"));
        return 0;
    }

    private static Action<double>? Progress(bool json) =>
        json || Console.IsErrorRedirected ? null : fraction => Console.Error.Write(FormattableString.Invariant($"\r{100 * fraction,5:0.0} % {(fraction >= 1 ? "\n" : "")}"));

    private static string ReadText(string path, int bytes)
    {
        byte[] content = File.ReadAllBytes(path);
        int length = Math.Min(content.Length, bytes);
        while (length < content.Length && length > 0 && (content[length] & 0xC0) == 0x80)
            length--; // not in the middle of a character
        return new System.Text.UTF8Encoding(false, throwOnInvalidBytes: true).GetString(content, 0, length);
    }
}
