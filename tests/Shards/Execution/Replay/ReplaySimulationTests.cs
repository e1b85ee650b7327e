using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Sampling;
using Llama3Cluster.Shards.Slices;
using Llama3Cluster.Shards.Synthesis;
using Llama3Cluster.Shards.Tests.Files;

namespace Llama3Cluster.Shards.Tests.Execution.Replay;

/// <summary>
/// Seeded random lives of a pipeline: ragged steps of sequences that begin alike, share blocks and take each other's freed ones, and
/// losses of any stage, after which they come again in the same blocks, in others, or not at all. Every step is compared with that of
/// stages that compute everything (see <see cref="ReplayPipeline"/>).
/// </summary>
public sealed class ReplaySimulationTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Whatever_is_reused_must_be_what_would_be_computed()
    {
        string path = _folder.At("tiny.gguf");
        ModelSynthesizer.Write(new SynthesisOptions { Shape = "tiny", Output = path, Type = WeightFormat.Q4_0, Layers = 3 });
        using ModelFile file = ModelFile.Open(path);
        long reused = 0;
        for (int seed = 0; seed < 40; seed++)
        {
            try
            {
                reused += new Life(seed, file).Run();
            }
            catch (Exception error)
            {
                throw new InvalidOperationException($"seed {seed}", error);
            }
        }

        Assert.True(reused > 1000, $"only {reused} rows were reused: nothing was tested");
    }

    private sealed class Life(int seed, ModelFile file)
    {
        private readonly Random _random = new(seed);
        private readonly List<Text> _texts = [];
        private readonly List<int> _free = [.. Enumerable.Range(0, ReplayPipeline.Blocks)];

        public long Run()
        {
            using var pipeline = new ReplayPipeline(
                file, (ActivationFormat)_random.Next(2), _random.Next(3) == 0 ? KvFormat.Q8_0 : KvFormat.F16, _random.Next(3) == 0 ? _random.Next(6) : ReplayPipeline.Blocks);
            for (int i = 0; i < 60; i++)
            {
                switch (_random.Next(10))
                {
                    case 0 or 1:
                        Begin(pipeline);
                        break;
                    case 2 when _texts.Count > 0:
                        End(_texts[_random.Next(_texts.Count)]);
                        break;
                    case 3:
                        Lose(pipeline);
                        break;
                    default:
                        Advance(pipeline);
                        break;
                }
            }

            return pipeline.Reused;
        }

        // Few different beginnings; behind one that is being computed, its full blocks need not be computed again.
        private void Begin(ReplayPipeline pipeline)
        {
            if (_texts.Count == ReplayPipeline.Slots)
                return;
            int kind = _random.Next(2), own = _random.Next(1, 30);
            var text = new Text { Slot = Enumerable.Range(0, ReplayPipeline.Slots).First(slot => _texts.All(other => other.Slot != slot)) };
            text.Tokens.AddRange(Enumerable.Range(0, _random.Next(0, 50)).Select(i => (i * (kind + 3)) % 97));
            text.Tokens.AddRange(Enumerable.Range(0, own).Select(_ => _random.Next(pipeline.Vocabulary)));
            Text? other = _texts.Find(candidate => SharedBlocks(candidate, text) > 0);
            if (other is not null && _random.Next(2) == 0)
            {
                int shared = SharedBlocks(other, text);
                text.Blocks.AddRange(other.Blocks.Take(shared));
                text.Done = shared * KvShape.BlockSize;
            }

            text.Sequence = pipeline.NewSequence();
            if (Extend(text, text.Tokens.Count))
                _texts.Add(text);
            else
                Free(text);
        }

        private void Advance(ReplayPipeline pipeline)
        {
            var step = new Step();
            var sampled = new List<Text>();
            foreach (Text text in _texts.OrderBy(_ => _random.Next()).ToList())
            {
                int rows = Math.Min(_random.Next(1, 40), Math.Min(text.Tokens.Count - text.Done, ReplayPipeline.MostRows - step.RowCount));
                if (rows < 1 || !Extend(text, text.Done + rows))
                    continue;
                bool samples = text.Done + rows == text.Tokens.Count;
                step.Add(
                    new SequenceRun { Slot = text.Slot, Sequence = text.Sequence, FirstPosition = text.Done, Begins = !text.HasBegun, Samples = samples, Sampling = text.HasBegun ? null : SamplingParameters.Greedy },
                    text.Tokens.GetRange(text.Done, rows).ToArray(), text.Blocks.Skip(text.Sent).ToArray());
                (text.HasBegun, text.Sent, text.Done) = (true, text.Blocks.Count, text.Done + rows);
                if (samples)
                    sampled.Add(text);
            }

            if (step.RowCount == 0)
                return;
            int[] tokens = pipeline.Run(step);
            for (int i = 0; i < tokens.Length; i++)
                sampled[i].Tokens.Add(tokens[i]);
            foreach (Text full in sampled.Where(text => text.Tokens.Count >= ReplayPipeline.ContextLength))
                End(full);
        }

        // All are computed again from their first token on: mostly in the blocks that they had, some in others.
        private void Lose(ReplayPipeline pipeline)
        {
            if (_random.Next(4) > 0)
                pipeline.Lose(_random.Next(ReplayPipeline.Stages));
            else
                pipeline.Reset();
            foreach (Text text in _texts.ToList())
            {
                (text.Done, text.Sent, text.HasBegun, text.Sequence) = (0, 0, false, pipeline.NewSequence());
                int kept = _random.Next(4) == 0 ? _random.Next(text.Blocks.Count) : text.Blocks.Count;
                Free(text, text.Blocks.Skip(kept));
                text.Blocks.RemoveRange(kept, text.Blocks.Count - kept);
            }
        }

        private static int SharedBlocks(Text other, Text text)
        {
            int most = Math.Min(other.Done, text.Tokens.Count - 1), alike = 0;
            while (alike < most && other.Tokens[alike] == text.Tokens[alike])
                alike++;
            return alike / KvShape.BlockSize;
        }

        private bool Extend(Text text, int positions)
        {
            while (text.Blocks.Count < KvPool.BlocksFor(positions))
            {
                if (_free.Count == 0)
                    return false;
                int i = _random.Next(3) == 0 ? _random.Next(_free.Count) : _free.Count - 1;
                text.Blocks.Add(_free[i]);
                _free.RemoveAt(i);
            }

            return true;
        }

        private void End(Text text)
        {
            _texts.Remove(text);
            Free(text);
        }

        private void Free(Text text)
        {
            Free(text, text.Blocks);
            text.Blocks.Clear();
        }

        private void Free(Text owner, IEnumerable<int> blocks) =>
            _free.AddRange(blocks.Where(block => !_texts.Any(other => other != owner && other.Blocks.Contains(block))).ToList());
    }

    private sealed class Text
    {
        public required int Slot { get; init; }

        public long Sequence { get; set; }

        public List<int> Tokens { get; } = [];

        public List<int> Blocks { get; } = [];

        public int Done { get; set; }

        public int Sent { get; set; }

        public bool HasBegun { get; set; }
    }
}
