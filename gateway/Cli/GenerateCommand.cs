using System.CommandLine;
using System.Diagnostics;
using System.Text;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Gateway.Tokenizers;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>generate</c>: one answer on the terminal, without a server.</summary>
internal static class GenerateCommand
{
    private const int ChunkRows = 128;

    public static Command Create()
    {
        var model = new ModelOptions();
        Option<string?> prompt = Opt.OptionalText("--prompt", "Text to continue.", "TEXT");
        Option<string?> chat = Opt.OptionalText("--chat", "A user's message to answer, in the model's chat format.", "TEXT");
        Option<IReadOnlyList<int>> tokens = Opt.Numbers("--tokens", "", "Token ids to continue, taken as they are.");
        tokens.DefaultValueFactory = null;
        Option<bool> ids = Opt.Flag("--ids", "Print the ids of the answer's tokens instead of its text, and do not stop at end tokens.");
        Option<int> maxTokens = Opt.Number("--max-tokens", 256, 1, 1 << 20, "Most tokens of the answer.");
        Option<float> temperature = Opt.Real("--temperature", 0.7f, 0, 100, "Divides the logits; 0 always takes the likeliest token.");
        Option<float> topP = Opt.Real("--top-p", 0.9f, 0.0001f, 1, "Keep the likeliest tokens whose probabilities reach this sum.");
        Option<ulong> seed = Opt.Seed("--seed", "The same seed gives the same answer.");
        Option<int> stages = ModelOptions.Stages(1);
        var command = new Command("generate", "Answer one prompt in this process and stream it to the terminal.")
        {
            prompt, chat, tokens, ids, maxTokens, temperature, topP, seed, stages,
        };
        model.AddTo(command);
        command.SetAction((result, cancellation) => Task.FromResult(Run(
            model, result, PromptOf(result.GetValue(prompt), result.GetValue(chat), result.GetValue(tokens)), result.GetValue(ids), result.GetValue(maxTokens),
            new SamplingParameters { Temperature = result.GetValue(temperature), TopP = result.GetValue(topP), Seed = result.GetValue(seed) },
            result.GetValue(stages), cancellation)));
        return command;
    }

    private static Prompt PromptOf(string? prompt, string? chat, IReadOnlyList<int>? tokens) => (prompt, chat, tokens) switch
    {
        ({ } text, null, null) => new Prompt.Text(text),
        (null, { } text, null) => new Prompt.Chat([new ChatMessage("user", text)]),
        (null, null, { } ids) => new Prompt.Tokens(ids),
        (null, null, null) => new Prompt.Text("Once upon a time"),
        _ => throw new UsageException("give one of --prompt, --chat and --tokens"),
    };

    private static int Run(
        ModelOptions options, ParseResult result, Prompt prompt, bool printIds, int maxTokens, SamplingParameters sampling, int stages, CancellationToken cancellation)
    {
        // Ids in and ids out need no tokenizer, so that a model without one can be compared with other implementations.
        ModelTokenizer? tokenizer = printIds && prompt is Prompt.Tokens ? null : TokenizerLoader.Load(options.PathOf(result));
        int[] tokens = prompt is Prompt.Tokens given && tokenizer is null ? [.. given.Ids] : tokenizer!.Encode(prompt);
        using LocalModel model = options.Load(result, stages, 1, null, ChunkRows, 1, cancellation);
        Console.Error.WriteLine($"[{model.File.Name}: {model.Memory}]");
        int context = model.File.Config.ContextLength;
        if (tokens.Length >= context)
            throw new UsageException($"the prompt has {tokens.Length} tokens; the model's context of {context} leaves no room for an answer");

        Console.OutputEncoding = Encoding.UTF8;
        if (prompt is Prompt.Text text && !printIds)
            Console.Write(text.Value);
        TextStream? stream = printIds ? null : new TextStream(tokenizer!);
        var generation = new LocalGeneration(model, tokens, sampling);
        long started = Stopwatch.GetTimestamp(), first = 0;
        int count = 0, limit = Math.Min(maxTokens, context - tokens.Length);
        for (; count < limit && !cancellation.IsCancellationRequested; count++)
        {
            int token = generation.Next();
            if (count == 0)
                first = Stopwatch.GetTimestamp();
            if (stream is not null && tokenizer!.EndTokens.Contains(token))
                break;
            Console.Write(stream?.Append(token) ?? FormattableString.Invariant($"{token} "));
        }

        Console.WriteLine(stream?.Flush());
        double toFirst = Stopwatch.GetElapsedTime(started, first).TotalSeconds, after = Stopwatch.GetElapsedTime(first).TotalSeconds;
        Console.Error.WriteLine(FormattableString.Invariant(
            $"[{tokens.Length} prompt tokens, first token after {1000 * toFirst:0} ms; {count} tokens, {(count > 1 ? (count - 1) / after : 0):0.0} a second; {model.DeviceName}]"));
        return cancellation.IsCancellationRequested ? 130 : 0;
    }
}
