using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Devices;

/// <summary>The largest elements of rows, on every device against sorting.</summary>
public class ConformanceCandidates
{
    private static readonly int[] Widths = [1, 3, 64, 255, 256, 257, 2048, 128_256];

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void Candidates_must_be_the_largest_in_order(string name)
    {
        foreach (int columns in Widths)
        {
            foreach (int count in new[] { 1, 41, Candidate.Most }.Where(count => count <= columns))
                Check(name, 3, columns, count, Values.Normal(3 * columns, seed: columns));
        }
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void Of_equals_the_lowest_indices_must_come_first(string name)
    {
        const int Columns = 3001;
        float[] same = new float[Columns], few = [.. Values.Uniform(Columns, seed: 1).Select(value => MathF.Round(4 * value) / 4)];
        float[] last = new float[Columns], zeros = [.. Enumerable.Range(0, Columns).Select(i => i % 3 == 0 ? -0f : 0f)];
        last[^1] = 1;
        foreach (float[] row in new[] { same, few, last, zeros })
        {
            Check(name, 1, Columns, 1, row);
            Check(name, 1, Columns, 100, row);
        }
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void What_is_no_number_must_come_last(string name)
    {
        const int Columns = 700;
        float[] some = Values.Normal(Columns, seed: 2), most = new float[Columns], none = new float[Columns];
        (some[0], some[3], some[350], some[699]) = (float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.NaN);
        most.AsSpan().Fill(float.NaN);
        none.AsSpan().Fill(float.NegativeInfinity);
        (most[5], most[600], none[7], none[8]) = (-1e30f, float.NegativeInfinity, float.NaN, float.MinValue);
        Check(name, 3, Columns, 90, [.. some, .. most, .. none]);
    }

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void Rows_of_many_steps_must_be_done_in_pieces(string name) => Check(name, 300, 33, 7, Values.Normal(300 * 33, seed: 3));

    [Theory]
    [ClassData(typeof(EveryDevice))]
    public void More_than_there_are_must_be_refused(string name)
    {
        using ComputeDevice device = DevicesUnderTest.Create(name);
        using DeviceTensor logits = device.Allocate(2, 10), wide = device.Allocate(2, 1000);
        var best = new Candidate[1000];
        Assert.Throws<ArgumentOutOfRangeException>(() => device.TopCandidates(logits, 1, 11, best));
        Assert.Throws<ArgumentOutOfRangeException>(() => device.TopCandidates(logits, 1, 0, best));
        Assert.Throws<ArgumentOutOfRangeException>(() => device.TopCandidates(wide, 1, Candidate.Most + 1, best));
        Assert.Throws<ArgumentException>(() => device.TopCandidates(logits, 3, 1, best));
        Assert.Throws<ArgumentException>(() => device.TopCandidates(logits, 2, 10, best.AsSpan(0, 19)));
    }

    private static void Check(string name, int rows, int columns, int count, float[] values)
    {
        using ComputeDevice device = DevicesUnderTest.Create(name);
        using DeviceTensor logits = device.Tensor(rows, columns, values);
        var best = new Candidate[rows * count];
        device.TopCandidates(logits, rows, count, best);
        for (int row = 0; row < rows; row++)
        {
            // Comparisons put NaN below every number; sorting is stable, and adding 0 makes -0 to 0.
            Candidate[] expected =
            [
                .. values.Skip(row * columns).Take(columns).Select((value, i) => new Candidate(i, value + 0f))
                    .OrderByDescending(candidate => candidate.Value).Take(count),
            ];
            Candidate[] actual = best[(row * count)..((row + 1) * count)];
            Assert.Equal(expected.Select(candidate => candidate.Index), actual.Select(candidate => candidate.Index));
            foreach ((Candidate wanted, Candidate found) in expected.Zip(actual))
                Assert.True(wanted.Value.Equals(found.Value), $"{wanted} became {found}");
        }
    }
}
