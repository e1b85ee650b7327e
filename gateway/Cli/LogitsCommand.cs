using System.CommandLine;
using System.Runtime.InteropServices;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Shards.Execution;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>logits</c>: what the model computes for given tokens, for comparison with other implementations.</summary>
internal static class LogitsCommand
{
    private const int ChunkRows = 64;

    public static Command Create()
    {
        var model = new ModelOptions();
        Option<IReadOnlyList<int>> tokens = Opt.Numbers("--tokens", "", "Token ids, the start token included: \"1,2,3\".");
        tokens.Required = true;
        tokens.DefaultValueFactory = null;
        Option<string?> output = Opt.OptionalText("--out", "File for the logits of every position: float32, little-endian, [tokens, vocabulary].", "FILE");
        Option<int> stages = ModelOptions.Stages(1);
        var command = new Command("logits", "Write the logits of every position of a token sequence, and print the likeliest next tokens.") { tokens, output, stages };
        model.AddTo(command);
        command.SetAction((result, cancellation) => Task.FromResult(
            Run(model, result, result.GetValue(tokens)!, result.GetValue(output), result.GetValue(stages), cancellation)));
        return command;
    }

    private static int Run(
        ModelOptions options, ParseResult result, IReadOnlyList<int> tokens, string? output, int stages, CancellationToken cancellation)
    {
        int[] ids = [.. tokens];
        using LocalModel model = options.Load(result, stages, 1, ids.Length, ChunkRows, ChunkRows, cancellation);
        int vocabulary = model.File.Config.VocabularySize;
        if (Array.Find(ids, id => id >= vocabulary) is > 0 and var outside)
            throw new UsageException($"token {outside} is outside the model's vocabulary of {vocabulary}");

        var logits = new float[vocabulary];
        using FileStream? file = output is null ? null : File.Create(output);
        var step = new Step();
        for (int position = 0; position < ids.Length; position += ChunkRows)
        {
            cancellation.ThrowIfCancellationRequested();
            int[] rows = ids[position..Math.Min(position + ChunkRows, ids.Length)];
            step.Clear();
            step.Add(new SequenceRun { FirstPosition = position, Begins = position == 0 }, rows, position == 0 ? model.BlocksOf(0) : []);
            model.Pipeline.Run(step, allLogits: true);
            for (int i = 0; i < rows.Length; i++)
            {
                model.Pipeline.GetLogits(i, logits);
                file?.Write(MemoryMarshal.AsBytes(logits.AsSpan()));
            }
        }

        Console.WriteLine("likeliest next tokens (id, logit):");
        foreach ((float logit, int id) in logits.Select((logit, id) => (logit, id)).OrderByDescending(pair => pair.logit).Take(10))
            Console.WriteLine(FormattableString.Invariant($"{id,8} {logit,12:0.00000}"));
        return 0;
    }
}
