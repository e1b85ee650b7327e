using System.Runtime.InteropServices;

namespace Llama3Cluster.Kernels.Devices;

/// <summary>An element of a row of logits.</summary>
/// <param name="Index">Its column: the token.</param>
/// <param name="Value">The element.</param>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct Candidate(int Index, float Value)
{
    /// <summary>Most that can be asked for of a row.</summary>
    public const int Most = 128;

    /// <summary>
    /// The largest elements of a row, largest first, of equals the lowest index first. -0 is 0, and a NaN less than every number.
    /// </summary>
    public static void Select(ReadOnlySpan<float> row, Span<Candidate> best)
    {
        int kept = 0;
        for (int i = 0; i < row.Length; i++)
        {
            // Behind all that are as large: they have lower indices.
            var candidate = new Candidate(i, row[i] + 0f);
            int at = kept;
            while (at > 0 && IsLess(best[at - 1].Value, candidate.Value))
                at--;
            if (at == best.Length)
                continue;
            kept = Math.Min(kept + 1, best.Length);
            best[at..(kept - 1)].CopyTo(best[(at + 1)..]);
            best[at] = candidate;
        }
    }

    private static bool IsLess(float a, float b) => a < b || (float.IsNaN(a) && !float.IsNaN(b));
}
