using System.CommandLine;
using System.Diagnostics;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Gateway.Local.Bench;
using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Cpu.Ceilings;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>bench</c>: prefill and decode rates, in rows like llama-bench's, beside what the machine can do at most.</summary>
internal sealed class BenchCommand
{
    private const string Description = """
        Measure prefill (pp) and decode (tg) in tokens a second, and how near they come to what the machine can do.

        Decoding one sequence reads every weight once a token: its ceiling is the speed of reading memory. Prefill, and decoding many
        sequences together, multiply each weight by many tokens: their ceiling is the speed of multiply-adds. Both are measured first.

          llama3cluster bench --model llama-3.2-1b-q4_0.gguf --pp 512 --tg 64 --batch 1,4,16

        Without a model at hand, write one of the same shape with random weights, which take the same time:

          llama3cluster synth --shape llama3.2-1b --type q4_0 --out llama-3.2-1b-q4_0.gguf
        """;

    private readonly ModelOptions _model = new();
    private readonly Option<IReadOnlyList<int>> _prompts = Opt.Numbers("--pp", "512", "Prompt lengths to prefill; 0 for none.");
    private readonly Option<IReadOnlyList<int>> _answers = Opt.Numbers("--tg", "128", "Answer lengths to decode; 0 for none.");
    private readonly Option<IReadOnlyList<int>> _batches = Opt.Numbers("--batch", "1", "Sequences decoded together.");
    private readonly Option<IReadOnlyList<int>> _depths = Opt.Numbers("--depth", "0", "Tokens of context that a sequence has before it is measured.");
    private readonly Option<int> _rows = Opt.Number("--max-rows", 256, 1, 8192, "Rows of a prefill chunk.");
    private readonly Option<int> _repetitions = Opt.Number("--repetitions", 3, 1, 1000, "Measured repetitions of each test, after one to warm up; the median counts.");
    private readonly Option<int> _stages = ModelOptions.Stages(1);
    private readonly Option<bool> _noCeilings = Opt.Flag("--no-ceilings", "Do not measure what the machine can do; the shares of it are left out.");
    private readonly Option<bool> _json = Opt.Flag("--json", "Print one JSON object a line: the machine, the model, each test, memory.");

    private BenchCommand()
    {
    }

    public static Command Create()
    {
        var bench = new BenchCommand();
        var command = new Command("bench", Description)
        {
            bench._prompts, bench._answers, bench._batches, bench._depths, bench._rows, bench._repetitions, bench._stages, bench._noCeilings, bench._json,
        };
        bench._model.AddTo(command);
        command.SetAction((result, cancellation) =>
        {
            bench.Run(result, cancellation);
            return Task.FromResult(0);
        });
        return command;
    }

    private void Run(ParseResult result, CancellationToken cancellation)
    {
        int[] prompts = Positive(result, _prompts), answers = Positive(result, _answers), batches = Positive(result, _batches);
        int[] depths = [.. result.GetValue(_depths)!];
        int longest = depths.Max() + prompts.Concat(answers).DefaultIfEmpty(1).Max(), sequences = batches.Append(1).Max();
        TextWriter output = result.InvocationConfiguration.Output;
        IBenchReport report = result.GetValue(_json) ? new JsonReport(output) : new TableReport(output);
        var progress = new BenchProgress();

        long start = Stopwatch.GetTimestamp();
        using LocalModel local = _model.Load(result, result.GetValue(_stages), sequences, longest, result.GetValue(_rows), sequences, cancellation);
        double loadSeconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var run = new BenchRun(local, result.GetValue(_repetitions), progress.Show);
        double firstSeconds = run.FirstToken(cancellation), startSeconds = Machine.SecondsSinceStart;

        int threads = _model.DeviceOf(result).ThreadsOf(1);
        CpuCeilings? ceilings = MeasureCeilings(local, threads, result.GetValue(_noCeilings), progress);
        var work = new ModelWork(local.File, ceilings);
        progress.Clear();
        report.Machine(Machine.ProcessorName, ceilings);
        report.Model(new BenchModel(
            local.File.Name, local.File.Tensor(TensorRole.Query).Format.ToString(), WeightBytes(local), work.StepReadBytes,
            local.DeviceName, threads, result.GetValue(_stages), loadSeconds, firstSeconds, startSeconds));

        void Print(BenchRow row)
        {
            progress.Clear();
            report.Row(row);
        }

        foreach (int depth in depths)
        {
            foreach (int tokens in prompts)
                Print(run.Prefill(tokens, depth, work, cancellation));
            foreach (int tokens in answers)
            {
                foreach (int batch in batches)
                    Print(run.Decode(tokens, batch, depth, work, cancellation));
            }
        }

        report.Memory(Machine.Resident, WeightBytes(local), local.Pipeline.Slices.Sum(slice => slice.Kv.ByteCount));
    }

    private static int[] Positive(ParseResult result, Option<IReadOnlyList<int>> option) => [.. result.GetValue(option)!.Where(n => n > 0)];

    private static long WeightBytes(LocalModel model) => ModelSlice.BytesOf(model.File, SliceRange.Whole(model.File.Config.LayerCount));

    // After the first token, so that the time from the program's start to it is what a user waits.
    private static CpuCeilings? MeasureCeilings(LocalModel model, int threads, bool unwanted, BenchProgress progress)
    {
        if (unwanted || model.Device is not CpuDevice)
            return null;
        progress.Show("measuring what the machine can do");
        return CpuCeilings.Measure(threads);
    }
}
